"""A document is never mistaken for another, even if both have the same title."""

import re

from playwright.sync_api import expect

from tests.http_client import submit


def replace(ada, slug, title, body):
    """Delete a document and write another one with the same title. Return its slug."""
    ada.goto(f"/documents/{slug}/delete/")
    ada.page.get_by_role("button", name="Delete for everybody").click()
    ada.page.wait_for_url(f"{ada.url}/")
    return ada.write(title, body)


def test_an_old_tab_does_not_save_over_the_next_document_of_that_title(ada, bob):
    """I saved in an old tab, and it overwrote a document that I had never opened."""
    old = ada.write("Agenda", "of last week")
    bob.goto(f"/documents/{old}/edit/")
    new = replace(ada, old, "Agenda", "of this week")
    assert new != old
    bob.save("of last week, with notes")
    expect(bob.find("[data-conflict]")).to_contain_text("Deleted while you were editing")
    ada.goto(f"/documents/{new}/")
    expect(ada.find("article")).to_contain_text("of this week")
    expect(ada.find("article")).not_to_contain_text("version 2")


def test_an_old_tab_does_not_delete_the_next_document_of_that_title(ada, stack):
    """I confirmed a deletion in an old tab, and another document was gone."""
    old = ada.write("Minutes", "old")
    other = ada.page.context.new_page()
    other.goto(f"{stack.url}/documents/{old}/delete/")
    new = replace(ada, old, "Minutes", "new")
    other.get_by_role("button", name="Delete for everybody").click()
    expect(other.get_by_text("The document was deleted before.")).to_be_visible()
    ada.goto(f"/documents/{new}/")
    expect(ada.find("article")).to_contain_text("new")


def test_a_document_that_was_saved_meanwhile_is_not_deleted_unseen(ada, bob):
    """I deleted the version that I had read, and with it an hour of a colleague's work that I had not seen."""
    slug = ada.write("Saved before it is deleted", "one")
    ada.goto(f"/documents/{slug}/delete/")
    bob.goto(f"/documents/{slug}/edit/")
    bob.save("an hour of work")
    bob.page.wait_for_url(f"**/documents/{slug}/")
    ada.page.get_by_role("button", name="Delete for everybody").click()
    expect(ada.find("[role=alert]").get_by_text("The document has been saved again")).to_be_visible()
    bob.page.reload()
    expect(bob.find("article")).to_contain_text("an hour of work")
    ada.page.get_by_role("button", name="Delete for everybody").click()
    ada.page.wait_for_url(f"{ada.url}/")


def test_readers_of_a_deleted_document_are_not_readers_of_the_next(ada, bob):
    """A user was shown as reading a document that they had never opened, and its news appeared on their page."""
    old = ada.write("Timetable", "old")
    bob.goto(f"/documents/{old}/")
    unread = int(bob.find("[data-unread-count]").text_content())
    new = replace(ada, old, "Timetable", "new")
    ada.goto("/")
    expect(ada.badge(new)).to_have_attribute("data-phase", "free")
    expect(bob.find("[data-changed]")).to_contain_text("deleted this document")
    ada.goto(f"/documents/{new}/edit/")
    ada.save("newer")
    # The page must have all four by now: deleted, created, started editing, updated.
    expect(bob.find("[data-unread-count]")).to_have_text(str(unread + 4))
    expect(bob.find("[data-changed]")).to_contain_text("deleted this document")


def test_no_title_takes_the_address_of_a_document_that_is_gone(ada, cookies, stack):
    """A title that looked like the address of a deleted document received that address."""
    first = ada.write("Plan", "one")
    taken = {first, replace(ada, first, "Plan", "two")}
    number = int(re.search(r"\d+$", first)[0])
    for title in ("Plan", f"Plan {number}", first, f"plan-{number + 3}", f"plan--{number}", f"Plan_{number}"):
        answer = submit(f"{stack.url}/new/", cookies(stack, "ada"), {"title": title, "body": ""})
        slug = answer.headers["Location"].strip("/").rpartition("/")[2]
        assert slug not in taken
        taken.add(slug)
