"""A form is processed once, and its record is pruned later."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db.models import F

from dashboard import actions, submissions
from dashboard.models import Document, Submission
from dashboard.submissions import KEPT, Draft, Repeated

FORM, OTHER_FORM = UUID(int=1), UUID(int=2)


def verbs(published):
    return [event.verb for _, event in published]


class TestCreate:
    def test_a_form_makes_one_document(self, ada, published):
        document = actions.create_document(ada, title="Plan", body="one", form=FORM)
        with pytest.raises(Repeated) as caught:
            actions.create_document(ada, title="Plan", body="one", form=FORM)
        assert (caught.value.document, caught.value.version) == (document, 1)
        assert Document.objects.count() == 1
        assert verbs(published) == ["created"]

    def test_another_text_or_another_form_is_another_document(self, ada, published):
        for form, body in ((FORM, "one"), (FORM, "two"), (OTHER_FORM, "two")):
            actions.create_document(ada, title="Plan", body=body, form=form)
        assert Document.objects.count() == 3

    def test_the_same_form_of_another_user_is_another_document(self, ada, bob, published):
        """A page that stays open during a logout may be submitted by the next user."""
        for user in (ada, bob):
            actions.create_document(user, title="Plan", body="one", form=FORM)
        assert Document.objects.count() == 2

    def test_a_document_that_was_deleted_since_is_not_made_again(self, ada, published):
        document = actions.create_document(ada, title="Plan", body="one", form=FORM)
        actions.delete_document(ada, document.pk)
        with pytest.raises(Repeated) as caught:
            actions.create_document(ada, title="Plan", body="one", form=FORM)
        assert caught.value.document is None

    def test_without_a_form_nothing_is_recorded(self, ada, published):
        actions.create_document(ada, title="Plan", body="one")
        assert not Submission.objects.exists()

    def test_two_texts_never_run_together(self):
        assert Draft("a", "bc").digest != Draft("ab", "c").digest


class TestUpdate:
    def save(self, user, document, body, *, version=1, form=FORM):
        return actions.update_document(user, document.pk, version=version, title="Plan", body=body, form=form)

    def test_a_form_saves_once(self, bob, plan, published):
        self.save(bob, plan, "two")
        with pytest.raises(Repeated) as caught:
            self.save(bob, plan, "two")
        assert (caught.value.document.version, caught.value.version) == (2, 2)
        assert verbs(published) == ["updated"]

    def test_a_repeat_after_another_save_says_which_version_it_made(self, ada, bob, plan):
        self.save(bob, plan, "two")
        self.save(ada, plan, "three", version=2, form=OTHER_FORM)
        with pytest.raises(Repeated) as caught:
            self.save(bob, plan, "two")
        assert (caught.value.document.version, caught.value.version) == (3, 2)

    def test_the_same_form_with_another_text_is_no_repeat(self, bob, plan):
        """The user may return to a submitted page and change its text, which must not be lost silently."""
        self.save(bob, plan, "two")
        with pytest.raises(actions.Conflict):
            self.save(bob, plan, "two and a half")

    def test_a_save_that_changes_nothing_makes_no_version(self, bob, plan, published):
        assert self.save(bob, plan, "first").version == 1
        assert published == []
        plan.refresh_from_db()
        assert plan.updated_by == plan.author

    def test_the_same_text_from_two_users_is_no_conflict(self, ada, bob, plan, published):
        self.save(bob, plan, "two")
        assert self.save(ada, plan, "two").version == 2
        assert verbs(published) == ["updated"]

    def test_a_refused_save_is_not_recorded(self, ada, bob, plan):
        self.save(bob, plan, "two")
        with pytest.raises(actions.Conflict):
            self.save(ada, plan, "mine", form=OTHER_FORM)
        assert not submissions.accepted(ada, OTHER_FORM, Draft("Plan", "mine"))
        assert submissions.accepted(bob, FORM, Draft("Plan", "two"))


class TestDelete:
    def test_a_version_that_the_user_did_not_see_is_not_deleted(self, ada, bob, plan, published):
        actions.update_document(bob, plan.pk, version=1, title="Plan", body="two")
        with pytest.raises(actions.ChangedMeanwhile, match="is at version 2, and 1 was to be deleted"):
            actions.delete_document(ada, plan.pk, version=1)
        actions.delete_document(ada, plan.pk, version=2)
        assert verbs(published) == ["updated", "deleted"]


class TestPrune:
    def test_old_rows_go_a_bounded_number_at_a_time(self, ada, published, monkeypatch):
        monkeypatch.setattr(submissions, "PRUNED_ROWS", 2)
        for number in range(1, 5):
            actions.create_document(ada, title="Plan", body=str(number), form=UUID(int=number))
        old = Submission.objects.filter(key__in=[UUID(int=number) for number in (1, 2, 3)])
        old.update(created_at=F("created_at") - KEPT - timedelta(days=1))
        # This key is a multiple of 64.
        actions.create_document(ada, title="Plan", body="5", form=UUID(int=64))
        assert Submission.objects.count() == 3
        assert submissions.prune() == 1
        assert set(Submission.objects.values_list("key", flat=True)) == {UUID(int=4), UUID(int=64)}
