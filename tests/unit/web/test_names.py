"""User names that look like another user's are refused, in every form and in a race."""

from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from dashboard.models import NameSkeleton
from web.names import skeletons

pytestmark = pytest.mark.django_db

PASSWORDS = {"password1": "correct horse staple", "password2": "correct horse staple"}
LOOK_LIKE_ADA = {
    "upper case": "Ada",
    "Cyrillic": "аdа",
    "wholly Cyrillic": "аԁа",
    "full width": "ａｄａ",
    "mathematical": "𝐚𝐝𝐚",
    "script a": "ɑdɑ",
}


@pytest.fixture(autouse=True)
def _signup(settings):
    settings.SIGNUP = True


@pytest.mark.parametrize("name", LOOK_LIKE_ADA.values(), ids=LOOK_LIKE_ADA)
def test_a_name_that_looks_like_anothers_is_refused(client, ada, name):
    """An attacker could sign up under a name that looks like ada's, and write as ada."""
    page = client.post("/signup/", {"username": name, **PASSWORDS})
    assert "already exists" in page.text
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("Bob", "\u0412ob"),
        ("Mary", "\u041cary"),
        ("Tom", "\u0422om"),
        ("nina", "\u039dina"),
        ("TOM", "\u0422\u041e\u041c"),
        ("Ian", "lan"),
        ("paul", "pau1"),
        ("oscar", "0scar"),
        ("Лев", "лев"),
        ("Νίκος", "νίκος"),
    ],
)
def test_a_capital_that_looks_like_another_letter_is_refused(client, name, twin):
    """A capital Cyrillic Ve looks like B, although its small form looks like no Latin letter."""
    for first, second in ((name, twin), (twin, name)):
        user = User.objects.create_user(first)
        page = client.post("/signup/", {"username": second, **PASSWORDS})
        assert "already exists" in page.text
        user.delete()


def test_names_from_before_the_rule_are_recorded_by_the_migration(client, ada):
    """I had updated, and the twin of a user from before the update could sign up."""
    User.objects.create_user("bob")
    NameSkeleton.objects.all().delete()
    import_module("web.migrations.0001_initial").record_names(apps, None)
    page = client.post("/signup/", {"username": "Ada", **PASSWORDS})
    assert "already exists" in page.text


@pytest.mark.parametrize("name", ["adam", "ad", "öda", "Ада2", "阿达"])
def test_another_name_is_free(client, ada, name):
    assert client.post("/signup/", {"username": name, **PASSWORDS}).status_code == 302


def test_a_blank_name_is_refused(client):
    assert "invisible" in client.post("/signup/", {"username": "\u3164", **PASSWORDS}).text


def test_the_second_of_two_at_once_is_refused(client, ada, monkeypatch):
    """Both forms were checked before either was saved."""
    monkeypatch.setattr("web.forms.check_name", lambda name: name)
    page = client.post("/signup/", {"username": "Ada", **PASSWORDS})
    assert "looks like it" in page.text
    assert User.objects.count() == 1


def test_the_admin_has_the_same_rule(as_user, ada, staff):
    staff.is_superuser = True
    staff.save()
    client = as_user(staff)
    page = client.post("/admin/auth/user/add/", {"username": "аdа", "usable_password": "true", **PASSWORDS})
    assert "looks like it" in page.text
    ada_page = f"/admin/auth/user/{ada.pk}/change/"
    assert client.get(ada_page).status_code == 200


def test_the_command_line_has_the_same_rule(ada, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse staple")
    with pytest.raises((CommandError, ValidationError), match="looks like it"):
        call_command("createsuperuser", username="ADA", email="a@example.com", interactive=False)
    assert User.objects.count() == 1


def test_a_user_keeps_their_own_name(ada):
    ada.first_name = "Ada"
    ada.save()
    assert set(NameSkeleton.objects.filter(user=ada).values_list("skeleton", flat=True)) == skeletons("ada")


def test_a_new_name_frees_the_old(ada):
    ada.username = "countess"
    ada.save()
    assert User.objects.create_user("Ada").pk
