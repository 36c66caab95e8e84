"""Rows that the dashboard deletes when they are old, and rows that it keeps."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from dashboard import models, pruning
from dashboard.models import Notification
from tidewire.publishing import pruning as library

pytestmark = pytest.mark.django_db


def notify(actor, sequence: int, days: float) -> None:
    notification = Notification.objects.create(
        actor=actor, actor_name="ada", verb="created", sequence=sequence, title="Plan"
    )
    Notification.objects.filter(pk=notification.pk).update(created_at=timezone.now() - timedelta(days=days))


def test_old_notifications_are_deleted_and_the_others_stay(ada):
    notify(ada, 1, 91)
    notify(ada, 2, 89)
    assert pruning.prune_notifications() == 1
    assert list(Notification.objects.values_list("sequence", flat=True)) == [2]


def test_expired_sessions_are_deleted(ada):
    now = timezone.now()
    Session.objects.create(session_key="old", expire_date=now - timedelta(seconds=1))
    Session.objects.create(session_key="new", expire_date=now + timedelta(days=1))
    pruning.prune_sessions()
    assert list(Session.objects.values_list("session_key", flat=True)) == ["new"]


def test_the_relay_prunes_them():
    assert {"notifications", "sessions", "versions", "sequences", "failed logins"} <= set(library._pruners)


def test_unread_notifications_are_counted_up_to_a_limit(ada, bob, monkeypatch):
    """Every page shows the count, so it must not read a year of rows."""
    monkeypatch.setattr(models, "UNREAD_LIMIT", 3)
    for sequence in range(1, 6):
        notify(bob, sequence, 0)
    assert Notification.objects.count_unread(ada) == 3
    assert Notification.objects.count_unread(ada, up_to=2) == 2
    assert Notification.objects.count_unread(bob) == 0
