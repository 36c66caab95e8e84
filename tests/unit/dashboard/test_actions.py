"""Each action changes the database, publishes exactly one event, and refuses invalid requests."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import transaction

from dashboard import actions
from dashboard.models import SLUG_LENGTH, TITLE_LENGTH, Document, Notification, ReadPointer, pk_of
from tidewire.models import OutboxEvent


def summaries(published):
    return [(topic, event.actor, event.verb, event.slug, event.title) for topic, event in published]


class TestCreate:
    def test_writes_the_document_and_tells_it_once(self, ada, published):
        document = actions.create_document(ada, title="Plan", body="text")
        assert (document.slug, document.version, document.author, document.updated_by) == (
            f"plan-{document.pk}",
            1,
            ada,
            ada,
        )
        assert summaries(published) == [("notifications", "ada", "created", document.slug, "Plan")]

    def test_the_event_is_the_row(self, ada, published):
        """A browser matches an event with the list by the row's number, and Redis drops repeats by its id."""
        document = actions.create_document(ada, title="Plan", body="")
        row = Notification.objects.get()
        [(_, event)] = published
        assert (event.id, event.notification_id, event.at) == (row.event_id, row.pk, row.created_at)
        assert row.document == document

    @pytest.mark.parametrize(
        ("title", "stem"),
        [
            ("Plan", "plan"),
            ("Überblick & Ziele", "uberblick-ziele"),
            ("計画", "document"),
            ("---", "document"),
            ("<script>alert(1)</script>", "scriptalert1script"),
            ("../../etc/passwd", "etcpasswd"),
        ],
    )
    def test_a_slug_is_safe_whatever_the_title(self, ada, published, title, stem):
        document = actions.create_document(ada, title=title, body="")
        assert document.slug == f"{stem}-{document.pk}"

    def test_two_documents_of_one_title_have_two_slugs(self, ada, bob, plan):
        assert actions.create_document(bob, title="Plan", body="").slug != plan.slug

    def test_the_slug_of_a_deleted_document_is_never_given_again(self, ada, plan):
        """Even if the next title is the deleted document's slug with its number."""
        slugs = {plan.slug}
        for title in ("Plan", plan.slug, f"Plan {plan.pk}", f"Plan {plan.pk + 3}"):
            document = actions.create_document(ada, title=title, body="")
            assert document.slug not in slugs
            slugs.add(document.slug)
            actions.delete_document(ada, document.pk)

    def test_slugs_stay_short(self, ada, published):
        """A slug is part of topic names and routes, and their length is limited."""
        slugs = {actions.create_document(ada, title="x" * TITLE_LENGTH, body="").slug for _ in range(3)}
        assert len(slugs) == 3
        assert max(map(len, slugs)) <= SLUG_LENGTH

    @pytest.mark.parametrize(
        ("slug", "pk"),
        [("plan-18", 18), ("plan-18-19", 19), ("plan", 0), ("plan-", 0), ("plan-1a", 0), (f"plan-{'9' * 30}", 0)],
    )
    def test_a_slug_says_its_primary_key(self, slug, pk):
        assert pk_of(slug) == pk

    def test_another_broken_constraint_is_not_taken_for_a_slug(self, ada, published):
        with pytest.raises(ValueError, match="AnonymousUser"):
            actions.create_document(AnonymousUser(), title="Plan", body="")
        assert not Document.objects.exists()


class TestUpdate:
    def test_saves_over_the_version_it_names(self, bob, plan, published):
        # SQLite stores times in milliseconds.
        before = plan.updated_at - timedelta(seconds=1)
        Document.objects.update(updated_at=before)
        saved = actions.update_document(bob, plan.pk, version=1, title="Plan B", body="second")
        assert (saved.version, saved.title, saved.body, saved.updated_by) == (2, "Plan B", "second", bob)
        assert saved.updated_at > before
        assert summaries(published) == [("notifications", "bob", "updated", plan.slug, "Plan B")]

    def test_the_slug_survives_a_new_title(self, bob, plan):
        """Open pages and sockets identify the document by its slug."""
        assert actions.update_document(bob, plan.pk, version=1, title="Other", body="").slug == plan.slug

    def test_a_stale_version_is_refused_with_both_texts(self, ada, bob, plan, published):
        actions.update_document(bob, plan.pk, version=1, title="Plan", body="theirs")
        published.clear()
        with pytest.raises(actions.Conflict) as caught:
            actions.update_document(ada, plan.pk, version=1, title="Mine", body="yours")
        assert caught.value.yours == actions.Draft(title="Mine", body="yours")
        assert (caught.value.theirs.body, caught.value.theirs.version, caught.value.theirs.updated_by) == (
            "theirs",
            2,
            bob,
        )
        assert Document.objects.get().body == "theirs"
        assert published == []

    @pytest.mark.parametrize("version", [0, 2, 10**6])
    def test_a_version_that_is_not_the_newest_never_saves(self, bob, plan, version):
        with pytest.raises(actions.Conflict):
            actions.update_document(bob, plan.pk, version=version, title="x", body="x")
        assert Document.objects.get().version == 1

    def test_a_deleted_document_is_a_conflict_that_keeps_your_text(self, bob, published):
        with pytest.raises(actions.Conflict) as caught:
            actions.update_document(bob, 404, version=1, title="x", body="yours")
        assert caught.value.theirs is None
        assert caught.value.yours.body == "yours"

    def test_a_conflict_can_be_merged_over_on_purpose(self, ada, bob, plan):
        actions.update_document(bob, plan.pk, version=1, title="Plan", body="theirs")
        with pytest.raises(actions.Conflict) as caught:
            actions.update_document(ada, plan.pk, version=1, title="Plan", body="yours")
        newest = caught.value.theirs.version
        merged = actions.update_document(ada, plan.pk, version=newest, title="Plan", body="theirs and yours")
        assert (merged.version, merged.body) == (3, "theirs and yours")


class TestDelete:
    def test_deletes_and_tells_it_once(self, ada, plan, published):
        actions.delete_document(ada, plan.pk)
        assert not Document.objects.exists()
        assert summaries(published) == [("notifications", "ada", "deleted", plan.slug, "Plan")]

    def test_notifications_outlive_the_document(self, ada, plan):
        actions.delete_document(ada, plan.pk)
        rows = Notification.objects.order_by("pk")
        assert [(row.verb, row.document, row.title) for row in rows] == [
            ("created", None, "Plan"),
            ("deleted", None, "Plan"),
        ]

    def test_refuses_who_may_not(self, bob, plan, published):
        with pytest.raises(PermissionDenied, match=f"user {bob.pk} may not delete {plan.slug}"):
            actions.delete_document(bob, plan.pk)
        assert Document.objects.exists()
        assert published == []

    def test_a_document_that_is_gone_says_so(self, ada, published):
        with pytest.raises(Document.DoesNotExist):
            actions.delete_document(ada, 404)
        assert published == []


class TestStartEditing:
    def test_tells_it_once_in_ten_minutes(self, bob, plan, published):
        for _ in range(3):
            actions.start_editing(bob, plan.pk)
        assert summaries(published) == [("notifications", "bob", "edit_started", plan.slug, "Plan")]

    def test_tells_it_again_after_ten_minutes(self, bob, plan, published):
        actions.start_editing(bob, plan.pk)
        Notification.objects.filter(verb="edit_started").update(
            created_at=Notification.objects.get(verb="edit_started").created_at - timedelta(minutes=10, seconds=1)
        )
        actions.start_editing(bob, plan.pk)
        assert len(published) == 2

    def test_each_user_and_each_document_is_news_of_its_own(self, ada, bob, plan, published):
        other = actions.create_document(ada, title="Other", body="")
        published.clear()
        for user in (ada, bob):
            for document in (plan, other):
                actions.start_editing(user, document.pk)
        assert [(event.actor, event.slug) for _, event in published] == [
            ("ada", plan.slug),
            ("ada", other.slug),
            ("bob", plan.slug),
            ("bob", other.slug),
        ]

    def test_a_document_that_is_gone_says_so(self, bob, published):
        with pytest.raises(Document.DoesNotExist):
            actions.start_editing(bob, 404)
        assert published == []


class TestMarkRead:
    def test_moves_forward_only(self, ada, bob, plan):
        newest = Notification.objects.get().sequence
        actions.mark_read(bob, newest)
        actions.mark_read(bob, 0)
        assert ReadPointer.objects.get(user=bob).last_read == newest

    def test_never_passes_what_exists(self, ada, bob, plan):
        """A number from the future would hide later notifications."""
        actions.mark_read(bob, 10**18)
        actions.create_document(ada, title="Later", body="")
        assert Notification.objects.unread_by(bob).count() == 1

    def test_publishes_nothing(self, bob, plan, published):
        actions.mark_read(bob, 1)
        assert published == []


class TestTransaction:
    """The outbox's row is written in the same transaction as the user's change."""

    def test_both_are_written(self, ada):
        actions.create_document(ada, title="Plan", body="")
        [row] = OutboxEvent.objects.all()
        assert (row.topic, row.type) == ("notifications", "notification.created")

    def test_a_failed_publish_undoes_the_action(self, ada, monkeypatch):
        def fail(*_):
            raise RuntimeError("no outbox")

        monkeypatch.setattr(actions, "publish", fail)
        with pytest.raises(RuntimeError), transaction.atomic():
            actions.create_document(ada, title="Plan", body="")
        assert not Document.objects.exists()
        assert not Notification.objects.exists()
