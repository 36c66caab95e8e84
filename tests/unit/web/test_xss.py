"""Text of users must be text on every page, never markup."""

import pytest
from django.urls import reverse

from dashboard import actions
from dashboard.events import DocumentPeople

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "{{ request }}{% debug %}",
    "javascript:alert(1)",
    "<!--",
]
NAME = '<b onmouseover="x">'


def assert_is_text(page, attack):
    assert page.status_code in (200, 409)
    if "<" in attack or '"' in attack:
        assert attack not in page.text
    for broken in ("<script>alert", "<img src=x", "<svg/onload", "<b onmouseover", 'href="javascript:', "WSGIRequest"):
        assert broken not in page.text


@pytest.mark.parametrize("attack", ATTACKS)
def test_in_titles_and_bodies(as_user, ada, bob, published, attack):
    document = actions.create_document(bob, title=attack, body=f"{attack}\n\n{attack}")
    client = as_user(ada)
    slug = document.slug
    for name in ("document", "document-edit"):
        assert_is_text(client.get(reverse(name, args=[slug])), attack)
    for name in ("documents", "notifications"):
        assert_is_text(client.get(reverse(name)), attack)
    client.force_login(bob)
    assert_is_text(client.get(reverse("document-delete", args=[slug])), attack)


@pytest.mark.parametrize("attack", ATTACKS)
def test_in_both_versions_of_a_conflict(as_user, ada, bob, plan, attack):
    actions.update_document(bob, plan.pk, version=1, title=attack, body=attack)
    fields = {"title": attack + "!", "body": attack + "!", "version": 1}
    assert_is_text(as_user(ada).post(reverse("document-edit", args=[plan.slug]), fields), attack)


@pytest.mark.parametrize("attack", ATTACKS)
def test_in_messages_after_a_redirect(as_user, ada, published, attack):
    document = actions.create_document(ada, title=attack, body="")
    client = as_user(ada)
    assert_is_text(client.post(reverse("document-delete", args=[document.slug]), follow=True), attack)
    newest = document.notifications.model.objects.first()
    assert_is_text(client.get(reverse("notification", args=[newest.pk]), follow=True), attack)


def test_in_names(as_user, user, now, published):
    """Django's sign-up refuses such a name, but an import or a directory may contain one."""
    attacker = user(NAME)
    now.names = [NAME]
    document = actions.create_document(attacker, title="Plan", body="")
    now.people[document.slug] = DocumentPeople(phase="update", editors=(NAME,), editor_count=1)
    client = as_user(attacker)
    for url in (
        "/",
        "/people/",
        "/notifications/",
        f"/documents/{document.slug}/",
        f"/documents/{document.slug}/edit/",
    ):
        assert_is_text(client.get(url), NAME)


def test_no_page_needs_more_than_the_content_security_policy_allows(as_user, ada, plan):
    client = as_user(ada)
    for url in (
        "/",
        "/new/",
        "/people/",
        "/notifications/",
        f"/documents/{plan.slug}/",
        f"/documents/{plan.slug}/edit/",
    ):
        page = client.get(url).text
        assert " style=" not in page
        assert "<style" not in page
        assert " onclick=" not in page
        assert page.count("<script") == page.count('<script type="module" src="/static/') == 1
