"""Logging in and out, and signing up if it is enabled."""

from uuid import UUID

import pytest
from django.contrib.auth.models import User

NEW = {"username": "newcomer", "password1": "correct horse staple", "password2": "correct horse staple"}

pytestmark = pytest.mark.django_db


def test_login_leads_to_the_documents(client, ada):
    assert client.post("/login/", {"username": "ada", "password": "demo"}).url == "/"


def test_login_leads_back_to_where_one_wanted_to_go(client, ada):
    page = client.get("/people/", follow=True)
    assert '<input type="hidden" name="next" value="/people/">' in page.text
    fields = {"username": "ada", "password": "demo", "next": "/people/"}
    assert client.post("/login/", fields).url == "/people/"


def test_login_leads_to_no_other_site(client, ada):
    fields = {"username": "ada", "password": "demo", "next": "https://evil.example/"}
    assert client.post("/login/", fields).url == "/"


def test_a_wrong_password_is_told_and_the_name_kept(client, ada):
    page = client.post("/login/", {"username": "ada", "password": "wrong"})
    assert "Please enter a correct username and password" in page.text
    assert 'value="ada"' in page.text


def test_who_is_logged_in_needs_no_login_page(as_user, ada):
    assert as_user(ada).get("/login/").url == "/"


def test_logout_is_a_form_and_leads_to_the_login(as_user, ada):
    client = as_user(ada)
    assert "Log out?" in client.get("/logout/").text
    assert client.get("/").status_code == 200
    assert client.post("/logout/").url == "/login/"
    assert client.get("/").status_code == 302


def test_logging_out_twice_leads_to_the_login(client):
    assert client.post("/logout/").url == "/login/"
    assert client.get("/logout/").url == "/login/"


@pytest.mark.parametrize(
    "address",
    [
        "/logout/",
        "/login/",
        "/signup/",
        "/notifications/unread/",
        "/healthz",
        "/admin/logout/",
        "/admin/jsi18n/",
        "/x/",
    ],
)
def test_login_leads_to_a_page_whatever_the_address_says(client, ada, address):
    assert client.post("/login/", {"username": "ada", "password": "demo", "next": address}).url == "/"
    assert client.get("/login/", {"next": address}).url == "/"


def test_the_admin_logs_out_by_the_same_page(as_user, staff):
    client = as_user(staff)
    assert client.get("/admin/logout/").url == "/logout/"
    assert client.post("/admin/logout/").url == "/login/"
    assert client.get("/").status_code == 302


def test_signup_is_off_by_default(client):
    assert client.get("/signup/").status_code == 404
    assert client.post("/signup/", NEW).status_code == 404
    assert not User.objects.exists()
    assert "/signup/" not in client.get("/login/").text


class TestSignUp:
    @pytest.fixture(autouse=True)
    def _on(self, settings):
        settings.SIGNUP = True

    def test_makes_an_ordinary_account_and_logs_in(self, client):
        assert "/signup/" in client.get("/login/").text
        assert client.post("/signup/", {**NEW, "is_staff": "on", "is_superuser": "on"}).url == "/"
        newcomer = User.objects.get()
        assert (newcomer.username, newcomer.is_staff, newcomer.is_superuser) == ("newcomer", False, False)
        assert client.get("/").status_code == 200

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"username": "<script>"}, "Enter a valid username"),
            ({"username": ""}, "This field is required"),
            ({"password2": "another"}, "didn\N{RIGHT SINGLE QUOTATION MARK}t match"),
            ({"password1": "short", "password2": "short"}, "too short"),
        ],
    )
    def test_refuses_with_a_reason(self, client, change, error):
        page = client.post("/signup/", NEW | change)
        assert error in page.text
        assert not User.objects.exists()

    def test_a_second_click_logs_in_too(self, client):
        """The browser drops the first response with its cookies."""
        key = client.get("/signup/").context["form"]["submission"].value()
        fields = NEW | {"submission": str(key)}
        assert client.post("/signup/", fields).url == "/"
        client.cookies.clear()
        assert client.post("/signup/", fields).url == "/"
        assert client.get("/").status_code == 200
        assert User.objects.count() == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"submission": str(UUID(int=7))},
            {"submission": ""},
            dict.fromkeys(["password1", "password2"], "a guess"),
        ],
    )
    def test_a_form_that_made_no_account_lets_no_one_in(self, client, change):
        """The sign-up form must not be a second way to guess passwords."""
        fields = NEW | {"submission": str(UUID(int=1))}
        client.post("/signup/", fields)
        client.cookies.clear()
        assert "already exists" in client.post("/signup/", fields | change).text
        assert client.get("/").status_code == 302

    def test_a_taken_name_is_refused(self, client, ada):
        assert "already exists" in client.post("/signup/", NEW | {"username": "ada"}).text

    def test_who_is_logged_in_needs_no_other_account(self, as_user, ada):
        assert as_user(ada).get("/signup/").url == "/"
