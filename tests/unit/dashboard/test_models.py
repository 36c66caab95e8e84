"""Unread notifications. A user does not see those from before the account, so the order of fixtures matters."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db.models import ProtectedError
from django.utils import timezone

from dashboard import actions
from dashboard.models import Notification, ReadPointer


def unread(user):
    return list(Notification.objects.unread_by(user).order_by("pk").values_list("verb", flat=True))


def test_everything_that_others_did_is_unread_at_first(ada, bob, plan):
    actions.start_editing(bob, plan.pk)
    assert unread(bob) == ["created"]
    assert unread(ada) == ["edit_started"]


def test_nobody_is_told_of_their_own_actions(ada, plan):
    assert unread(ada) == []


def test_reading_up_to_one_leaves_the_later_ones(ada, bob, plan):
    first = Notification.objects.get()
    actions.update_document(ada, plan.pk, version=1, title="Plan", body="x")
    actions.mark_read(bob, first.sequence)
    assert unread(bob) == ["updated"]


def test_one_users_pointer_is_no_other_users(ada, bob, staff, plan):
    actions.mark_read(bob, Notification.objects.get().sequence)
    assert unread(bob) == []
    assert unread(staff) == ["created"]


@pytest.mark.parametrize("minutes", [-20, 0, 20])
def test_what_happened_before_a_user_joined_is_read(ada, plan, user, minutes):
    """Even if the clock of the host that created the account was wrong."""
    newcomer = user("new", date_joined=timezone.now() + timedelta(minutes=minutes))
    assert unread(newcomer) == []
    actions.update_document(ada, plan.pk, version=1, title="Plan", body="x")
    assert unread(newcomer) == ["updated"]


def test_an_action_stays_unread_when_its_actor_is_gone(bob, user, published):
    leaver = user("leaver")
    document = actions.create_document(bob, title="Bob's", body="")
    actions.update_document(leaver, document.pk, version=1, title="Bob's", body="x")
    leaver.delete()
    assert unread(bob) == ["updated"]
    assert Notification.objects.get(verb="updated").actor_name == "leaver"


def test_documents_are_not_deleted_with_their_author(ada, plan):
    with pytest.raises(ProtectedError):
        ada.delete()


def test_who_edited_last_may_leave(bob, plan):
    actions.update_document(bob, plan.pk, version=1, title="Plan", body="x")
    User.objects.get(username="bob").delete()
    plan.refresh_from_db()
    assert plan.updated_by is None


def test_rows_say_what_they_are(ada, bob, plan):
    actions.mark_read(bob, 0)
    assert str(plan) == "Plan"
    assert str(Notification.objects.get()) == "ada created Plan"
    assert str(ReadPointer.objects.get(user=bob)) == f"{bob.pk}: 0"
