"""Two users edited at the same time: both texts are shown completely, and the user may save over the other version."""

import html

import pytest
from django.urls import reverse

from dashboard import actions
from dashboard.events import DocumentPeople
from dashboard.models import Document

YOURS = {"title": "Plan (mine)", "body": "same\nyours & <mine>\nend", "version": 1}


def edit(document):
    return reverse("document-edit", args=[document.slug])


@pytest.fixture
def conflict(as_user, ada, bob, plan, published):
    """Let ada save over version 1, which bob has replaced meanwhile."""
    actions.update_document(bob, plan.pk, version=1, title="Plan (theirs)", body="same\ntheirs\nend")
    published.clear()
    return as_user(ada).post(edit(plan), YOURS)


def test_is_refused_and_says_so(conflict, published):
    assert conflict.status_code == 409
    assert "data-conflict" in conflict.text
    assert "bob</b> saved version 2" in conflict.text
    assert Document.objects.get().body == "same\ntheirs\nend"
    assert published == []


def test_nothing_of_either_is_lost(conflict):
    page = html.unescape(conflict.text)
    for text in (YOURS["title"], YOURS["body"], "Plan (theirs)", "same\ntheirs\nend"):
        assert text in page
    for side in ("your_lines", "their_lines"):
        assert "\n".join(line.text for line in conflict.context[side]) in (YOURS["body"], "same\ntheirs\nend")


def test_marks_the_lines_that_differ(conflict):
    assert [line.differs for line in conflict.context["your_lines"]] == [False, True, False]
    assert [line.differs for line in conflict.context["their_lines"]] == [False, True, False]


def test_the_form_holds_your_text_and_the_newest_version(conflict):
    form = conflict.context["form"]
    assert (form["title"].value(), form["body"].value(), form["version"].value()) == (YOURS["title"], YOURS["body"], 2)


def test_a_merge_is_saved_over_on_purpose(conflict, as_user, ada, plan, published):
    form = conflict.context["form"]
    fields = {"title": "Plan", "body": "same\ntheirs\nyours\nend", "version": form["version"].value()}
    assert as_user(ada).post(edit(plan), fields).status_code == 302
    document = Document.objects.get()
    assert (document.version, document.body) == (3, "same\ntheirs\nyours\nend")
    assert [event.verb for _, event in published] == ["updated"]


def test_a_merge_can_be_too_late_again(conflict, as_user, ada, bob, plan):
    actions.update_document(bob, plan.pk, version=2, title="Plan", body="even newer")
    again = as_user(ada).post(edit(plan), {**YOURS, "version": 2})
    assert again.status_code == 409
    assert again.context["form"]["version"].value() == 3
    assert "even newer" in again.text


def test_a_document_deleted_meanwhile_keeps_your_text(as_user, ada, bob, plan):
    actions.delete_document(ada, plan.pk)
    page = as_user(bob).post(edit(plan), YOURS)
    assert page.status_code == 409
    assert "Save as a new document" in page.text
    assert page.context["form"]["body"].value() == YOURS["body"]
    assert f'action="{reverse("document-create")}?from={plan.slug}"' in page.text


@pytest.mark.parametrize(("gone", "leads_to"), [("plan-1", "/documents/plan-1/edit/"), ("", None), ("../x", None)])
def test_a_login_on_the_page_of_a_deleted_document_leads_back_to_it(as_user, ada, gone, leads_to):
    """The browser stores the text under the document's slug."""
    answer = as_user(ada).get(reverse("document-create"), {"from": gone})
    assert answer.headers.get("Location") == leads_to
    assert answer.status_code == (302 if leads_to else 200)


def test_a_document_deleted_meanwhile_and_a_form_with_errors_keep_your_text(as_user, ada, bob, plan):
    actions.delete_document(ada, plan.pk)
    page = as_user(bob).post(edit(plan), {**YOURS, "title": ""})
    assert page.status_code == 200
    assert page.context["form"]["body"].value() == YOURS["body"]


def test_shows_who_is_still_editing(as_user, ada, bob, plan, now):
    now.people[plan.slug] = DocumentPeople(phase="update", editors=("bob",), editor_count=1)
    actions.update_document(bob, plan.pk, version=1, title="Plan", body="theirs")
    assert "<b data-second-editor-names><bdi>bob</bdi></b>" in as_user(ada).post(edit(plan), YOURS).text
