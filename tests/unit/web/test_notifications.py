"""The list, the count, the pointer, and the page to which a notification leads."""

import pytest
from django.urls import reverse

from dashboard import actions
from dashboard.models import Notification, ReadPointer

LIST, READ, UNREAD = "/notifications/", "/notifications/read/", "/notifications/unread/"


def test_newest_first_with_what_is_unread(as_user, ada, bob, plan):
    actions.start_editing(bob, plan.pk)
    page = as_user(bob).get(LIST)
    assert [row.verb for row in page.context["page_obj"]] == ["edit_started", "created"]
    assert "started editing" in page.text
    assert page.text.count("is-unread") == 1  # a user's own notifications are never unread


def test_marking_one_as_read_leaves_the_later_ones(as_user, ada, bob, plan):
    first = Notification.objects.get()
    actions.update_document(ada, plan.pk, version=1, title="Plan", body="x")
    client = as_user(bob)
    assert client.post(READ, {"up_to": first.sequence}).url == LIST
    assert client.get(LIST).text.count("is-unread") == 1
    assert client.get(UNREAD).json() == {"unread": 1, "newest": first.sequence + 1}


def test_marking_all_as_read(as_user, ada, bob, plan):
    client = as_user(bob)
    newest = client.get(LIST).context["newest_notification"]
    client.post(READ, {"up_to": newest})
    page = client.get(LIST).text
    assert "is-unread" not in page
    assert "data-mark-all disabled" in page


def test_marking_does_not_swallow_what_came_after_the_page(as_user, ada, bob, plan):
    client = as_user(bob)
    newest = client.get(LIST).context["newest_notification"]
    actions.update_document(ada, plan.pk, version=1, title="Plan", body="x")
    client.post(READ, {"up_to": newest})
    assert client.get(UNREAD).json()["unread"] == 1


def test_a_row_that_is_not_published_yet_is_unread_and_cannot_be_read_up_to(as_user, ada, bob, plan):
    """Older rows may still appear behind it. The count must not include it, because its event adds it later."""
    actions.update_document(ada, plan.pk, version=1, title="Plan", body="x")
    Notification.objects.filter(verb="updated").update(sequence=None)
    client = as_user(bob)
    page = client.get(LIST)
    assert [row.verb for row in page.context["page_obj"]] == ["updated", "created"]
    assert page.text.count("is-unread") == 2
    assert page.text.count("Read up to here") == 1
    assert client.get(UNREAD).json() == {"unread": 1, "newest": 1}
    client.post(READ, {"up_to": page.context["newest_notification"]})
    assert client.get(LIST).text.count("is-unread") == 1


@pytest.mark.parametrize("up_to", ["", "x", "-1", "1e3", "9" * 30, "٣x", None])
def test_marking_with_anything_but_a_number_is_refused(as_user, bob, plan, up_to):
    response = as_user(bob).post(READ, {} if up_to is None else {"up_to": up_to})
    assert response.status_code == 400
    assert ReadPointer.objects.get(user=bob).last_read == 0


def test_marking_is_no_link(as_user, bob):
    """A GET redirects, as after a login, and marks nothing."""
    assert as_user(bob).get(READ, {"up_to": 1}).url == LIST
    assert ReadPointer.objects.get(user=bob).last_read == 0


def test_the_count_is_never_cached(as_user, bob):
    assert as_user(bob).get(UNREAD).headers["Cache-Control"] == "no-store"


def test_the_count_of_nothing(as_user, bob):
    assert as_user(bob).get(UNREAD).json() == {"unread": 0, "newest": 0}


def test_one_leads_to_its_document(as_user, bob, plan):
    response = as_user(bob).get(reverse("notification", args=[Notification.objects.get().pk]))
    assert response.url == reverse("document", args=[plan.slug])


def test_one_leads_to_its_own_document_even_where_another_took_the_slug(as_user, ada, bob, plan):
    old = Notification.objects.get()
    actions.delete_document(ada, plan.pk)
    actions.create_document(ada, title="Plan", body="another one")
    page = as_user(bob).get(reverse("notification", args=[old.pk]), follow=True)
    assert page.redirect_chain == [(LIST, 302)]
    assert "“\u2068Plan\u2069” was deleted" in page.text


def test_one_of_a_deleted_document_leads_to_the_list_and_says_so(as_user, ada, bob, plan):
    old = Notification.objects.get()
    actions.delete_document(ada, plan.pk)
    page = as_user(bob).get(reverse("notification", args=[old.pk]), follow=True)
    assert page.status_code == 200
    assert "“\u2068Plan\u2069” was deleted" in page.text
    assert '<s dir="auto">Plan</s>' in page.text


def test_one_that_does_not_exist_is_a_404(as_user, bob):
    assert as_user(bob).get(reverse("notification", args=[404])).status_code == 404


def test_an_empty_list_says_what_will_come(as_user, bob):
    assert "All quiet" in as_user(bob).get(LIST).text


def test_pages_of_twenty_five_by_a_bounded_number_of_queries(
    as_user, ada, bob, published, django_assert_max_num_queries
):
    for number in range(26):
        actions.create_document(ada, title=f"Document {number}", body="")
    client = as_user(bob)
    with django_assert_max_num_queries(8):
        first = client.get(LIST)
    assert len(first.context["page_obj"]) == 25
    assert len(client.get(LIST, {"page": 2}).context["page_obj"]) == 1
