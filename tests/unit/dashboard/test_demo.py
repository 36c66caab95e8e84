"""`manage.py demo` creates sample data for a first run, and refuses to run in production."""

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from dashboard.management.commands import demo
from dashboard.models import SLUG_LENGTH, Document, Notification
from tidewire.models import OutboxEvent

pytestmark = pytest.mark.django_db


def run() -> str:
    out = StringIO()
    call_command("demo", stdout=out)
    return out.getvalue()


def test_makes_users_and_documents():
    assert "ada, bob, eve, admin (password: demo), 8 documents" in run()
    assert all(User.objects.get(username=name).check_password("demo") for name in ("ada", "bob", "eve", "admin"))
    assert list(User.objects.filter(is_superuser=True).values_list("username", flat=True)) == ["admin"]
    assert Document.objects.count() == 8
    assert all(len(document.slug) <= SLUG_LENGTH for document in Document.objects.all())


def test_its_past_adds_up():
    """Each version has one notification. They are numbered in the order of time, and none is in the future."""
    run()
    times = list(Notification.objects.order_by("sequence").values_list("created_at", flat=True))
    assert times == sorted(times)
    assert Notification.objects.newest() == len(times)
    assert len(times) == sum(Document.objects.values_list("version", flat=True))
    assert all(document.created_at <= document.updated_at for document in Document.objects.all())
    assert Notification.objects.unread_by(User.objects.get(username="eve")).exists()


def test_its_past_is_not_news():
    run()
    assert not OutboxEvent.objects.exists()


def test_a_second_run_touches_nothing():
    run()
    Document.objects.filter(title="Release checklist").update(body="mine")
    ada = User.objects.get(username="ada")
    ada.set_password("changed")
    ada.save()
    assert "0 documents" in run()
    assert Document.objects.get(title="Release checklist").body == "mine"
    assert User.objects.get(username="ada").check_password("changed")


def test_production_refuses(monkeypatch):
    monkeypatch.setattr(demo, "read_env", lambda: type("Env", (), {"environment": "production"}))
    with pytest.raises(CommandError, match="development environment only"):
        run()
    assert not User.objects.exists()
