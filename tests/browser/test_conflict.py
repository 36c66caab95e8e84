"""If two people save, the second sees both versions and merges them, and no text is lost."""

from playwright.sync_api import expect


def test_the_second_to_save_merges(ada, bob):
    slug = ada.write("A document for two", "one\ntwo\nthree")
    for person in (ada, bob):
        person.goto(f"/documents/{slug}/edit/")
    bob.write_anyway()
    bob.save("one\nTWO by bob\nthree")
    bob.page.wait_for_url(f"**/documents/{slug}/")
    expect(ada.find("[data-changed]")).to_contain_text("bob saved a newer version")

    ada.save("one\ntwo by ada\nthree")
    conflict = ada.find("[data-conflict]")
    expect(conflict).to_be_visible()
    expect(conflict.locator(".is-yours .differs")).to_have_text(["Differs: two by ada"])
    expect(conflict.locator(".is-theirs .differs")).to_have_text(["Differs: TWO by bob"])
    expect(ada.page.get_by_label("Text")).to_have_value("one\ntwo by ada\nthree")
    expect(ada.badge(slug)).to_contain_text("ada is editing")

    ada.page.get_by_role("button", name="Start from theirs").click()
    expect(ada.page.get_by_label("Text")).to_have_value("one\nTWO by bob\nthree")
    ada.page.get_by_role("button", name="Start from yours").click()
    expect(ada.page.get_by_label("Text")).to_have_value("one\ntwo by ada\nthree")
    ada.save("one\nTWO by bob and ada\nthree", button="Save over version 2")
    ada.page.wait_for_url(f"**/documents/{slug}/")
    expect(ada.find("article")).to_contain_text("TWO by bob and ada")
    expect(ada.find("article")).to_contain_text("version 3")


def test_a_document_deleted_meanwhile_can_be_kept_as_a_new_one(ada, bob):
    slug = ada.write("A document that goes")
    bob.goto(f"/documents/{slug}/edit/")
    ada.goto(f"/documents/{slug}/delete/")
    ada.page.get_by_role("button", name="Delete for everybody").click()
    expect(bob.find("[data-changed]")).to_contain_text("ada deleted this document. Your text here is not lost.")
    bob.save("bob's work")
    expect(bob.find("[data-conflict]")).to_contain_text("Deleted while you were editing")
    bob.page.get_by_role("button", name="Save as a new document").click()
    expect(bob.find("article")).to_contain_text("bob's work")


def test_leaving_with_unsaved_text_asks_first(ada, seat, stack):
    slug = ada.write("A document to leave")
    ada.goto(f"/documents/{slug}/edit/")
    asked = []
    ada.page.on("dialog", lambda dialog: asked.append(dialog.type))
    ada.goto("/")
    assert asked == []
    ada.goto(f"/documents/{slug}/edit/")
    ada.page.get_by_label("Text").press_sequentially("unsaved")
    ada.goto("/")
    assert asked == ["beforeunload"]


def come_back(person):
    """Go back to a page that the browser must load again: its ticket was renewed, and pages vary by cookies."""
    person.page.context.clear_cookies(name="tidewire_ticket")
    person.goto("/people/")
    person.page.go_back()
    person.is_live()


def save_beside(ada, bob, slug):
    """Let ada type, and bob save a newer version."""
    ada.goto(f"/documents/{slug}/edit/")
    ada.page.get_by_label("Text").fill("one by ada")
    bob.goto(f"/documents/{slug}/edit/")
    bob.write_anyway()
    bob.save("ONE by bob")
    bob.page.wait_for_url(f"**/documents/{slug}/")


def test_text_that_the_browser_brings_back_is_still_of_its_version(ada, bob):
    """The page is the newest, its text is not: it must not be saved over a version that it was not based on."""
    slug = ada.write("A document to come back to", "one")
    save_beside(ada, bob, slug)
    come_back(ada)
    expect(ada.page.get_by_label("Text")).to_have_value("one by ada")
    ada.page.get_by_label("Text").fill("one by ada!")
    come_back(ada)
    expect(ada.page.get_by_label("Text")).to_have_value("one by ada!")
    ada.page.get_by_role("button", name="Save", exact=True).click()
    conflict = ada.find("[data-conflict]")
    expect(conflict.locator(".is-yours .differs")).to_have_text(["Differs: one by ada!"])
    expect(conflict.locator(".is-theirs .differs")).to_have_text(["Differs: ONE by bob"])
    ada.save("ONE by bob and ada", button="Save over version 2")
    ada.page.wait_for_url(f"**/documents/{slug}/")
    expect(ada.find("article")).to_contain_text("version 3")


def test_a_page_that_comes_back_with_the_newest_text_is_of_the_newest_version(ada, bob):
    slug = ada.write("A document to come round to", "one")
    save_beside(ada, bob, slug)
    come_back(ada)
    ada.page.get_by_label("Text").fill("ONE by bob")
    come_back(ada)
    expect(ada.page.get_by_label("Text")).to_have_value("ONE by bob")
    ada.save("ONE by bob and ada")
    ada.page.wait_for_url(f"**/documents/{slug}/")
    expect(ada.find("article")).to_contain_text("version 3")
