"""Two people in two browsers see each other: count, badges, notifications, the second editor."""

import re

from playwright.sync_api import expect


def test_the_count_follows_who_comes_and_goes(ada, bob, seat, stack):
    ada.goto("/")
    expect(ada.find("[data-users-count]")).to_have_text("1")
    bob.goto("/people/")
    expect(ada.find("[data-users-count]")).to_have_text("2")
    expect(ada.find("[data-online]")).to_have_attribute(
        "title", re.compile("^\u2068(ada\u2069, \u2068bob|bob\u2069, \u2068ada)\u2069$")
    )
    expect(bob.find("[data-people]")).to_contain_text("ada")

    again = seat(stack, "bob")
    again.goto("/")
    bob.goto("/")
    expect(ada.find("[data-users-count]")).to_have_text("2")

    again.page.close()
    bob.page.close()
    expect(ada.find("[data-users-count]")).to_have_text("1")


def test_the_list_of_people_is_live(ada, bob):
    ada.goto("/people/")
    bob.goto("/")
    expect(ada.find("[data-people] li")).to_have_count(2)
    expect(ada.find("[data-people]")).to_contain_text("you")
    bob.page.close()
    expect(ada.find("[data-people] li")).to_have_count(1)


def test_badges_follow_reading_and_editing(ada, bob):
    slug = ada.write("A document with a badge")
    ada.goto("/")
    badge = ada.badge(slug)
    expect(badge).to_have_attribute("data-phase", "free")

    bob.goto(f"/documents/{slug}/")
    expect(badge).to_have_attribute("data-phase", "read")
    expect(badge).to_contain_text("Read")
    expect(badge).to_contain_text("bob is reading")
    expect(bob.badge(slug)).to_contain_text("bob is reading")

    bob.goto(f"/documents/{slug}/edit/")
    expect(badge).to_have_attribute("data-phase", "update")
    expect(badge).to_contain_text("Write")
    expect(badge).to_contain_text("bob is editing")

    bob.goto("/")
    expect(badge).to_have_attribute("data-phase", "free")
    expect(badge.locator("li")).to_have_count(0)


def test_a_page_shows_the_badges_before_its_sockets_do(ada, bob, stack):
    slug = bob.write("A document that bob reads")
    bob.goto(f"/documents/{slug}/")
    expect(bob.badge(slug)).to_have_attribute("data-phase", "read")
    page = ada.page.context.new_page()
    page.route("**/client*.js", lambda route: route.abort())
    page.goto(f"{stack.url}/")
    expect(page.locator(f'[data-document="{slug}"] [data-badge]')).to_contain_text("bob is reading")


def test_a_second_editor_is_warned_of_by_both(ada, bob):
    slug = ada.write("A document for two editors")
    ada.goto(f"/documents/{slug}/edit/")
    warning = ada.find("[data-second-editor]")
    expect(warning).to_be_hidden()

    bob.goto(f"/documents/{slug}/edit/")
    expect(warning).to_be_visible()
    expect(warning).to_contain_text("bob is editing this document too")
    expect(bob.find("[data-lease-panel]")).to_contain_text("ada is writing this document")
    expect(bob.find("[data-second-editor]")).to_be_hidden()

    bob.goto("/")
    expect(warning).to_be_hidden()


def test_a_toast_and_the_unread_count_tell_of_what_others_do(ada, bob):
    bob.goto("/people/")
    before = int(bob.find("[data-unread-count]").text_content())
    slug = ada.write("A document that bob hears of")
    expect(bob.toast("ada created A document that bob hears of")).to_be_visible()
    expect(bob.find("[data-unread-count]")).to_have_text(str(before + 1))

    bob.toast("created").get_by_role("link").click()
    bob.page.wait_for_url(f"**/documents/{slug}/")


def test_own_actions_are_told_discreetly(ada, seat, stack):
    """The other tab must show the action too, but neither read it out nor count it."""
    elsewhere = seat(stack, "ada")
    elsewhere.goto("/people/")
    before = elsewhere.find("[data-unread-count]").text_content()
    ada.write("My own document")
    expect(elsewhere.find("[data-own-toasts] [data-toast]")).to_contain_text("You created My own document")
    expect(elsewhere.find("[data-toasts] [data-toast]")).to_have_count(0)
    expect(elsewhere.find("[data-unread-count]")).to_have_text(before)


def test_a_toast_can_be_dismissed_and_leaves_by_itself(ada, bob):
    bob.goto("/people/")
    ada.write("First of two")
    bob.toast("First of two").get_by_role("button", name="Dismiss").click()
    expect(bob.toast("First of two")).to_have_count(0)
    bob.page.mouse.move(10, 10)  # a toast under the pointer stays
    ada.write("Second of two")
    expect(bob.toast("Second of two")).to_be_visible()
    expect(bob.toast("Second of two")).to_have_count(0)


def test_the_list_of_documents_follows_what_happens(ada, bob):
    slug = ada.write("A title that changes")
    bob.goto("/")
    row = bob.find(f'[data-document="{slug}"]')

    ada.goto(f"/documents/{slug}/edit/")
    ada.page.get_by_label("Title").fill("A title that has changed")
    ada.save("second")
    expect(row).to_contain_text("A title that has changed")
    expect(row).to_contain_text("edited by ada just now")

    ada.goto(f"/documents/{slug}/delete/")
    ada.page.get_by_role("button", name="Delete for everybody").click()
    expect(row).to_contain_text("deleted by ada just now")
    expect(row.get_by_role("link")).to_have_count(0)

    ada.write("Another new one")
    expect(bob.find("[data-news]")).to_contain_text("There is a new document.")
    bob.find("[data-news] a").click()
    expect(bob.find("[data-documents]")).to_contain_text("Another new one")


def test_a_reader_hears_of_a_newer_version_and_of_the_end(ada, bob):
    slug = ada.write("A document with a reader")
    bob.goto(f"/documents/{slug}/")
    ada.goto(f"/documents/{slug}/edit/")
    ada.save("a newer text")
    changed = bob.find("[data-changed]")
    expect(changed).to_contain_text("ada saved a newer version")
    changed.get_by_role("link").click()
    expect(bob.find("article")).to_contain_text("a newer text")
    expect(bob.find("[data-changed]")).to_be_hidden()

    ada.goto(f"/documents/{slug}/delete/")
    ada.page.get_by_role("button", name="Delete for everybody").click()
    expect(bob.find("[data-changed]")).to_contain_text("ada deleted this document")


def test_notifications_arrive_in_the_list_and_are_marked_as_read(ada, bob):
    bob.goto("/notifications/")
    slug = ada.write("A document in the list")
    row = bob.find("[data-events] li").first
    expect(row).to_contain_text("ada created A document in the list")
    expect(row).to_have_class(re.compile("is-unread"))

    bob.page.get_by_role("button", name="Mark all as read").click()
    expect(bob.find("[data-unread]")).to_be_hidden()
    expect(bob.find("[data-events] .is-unread")).to_have_count(0)

    ada.goto(f"/documents/{slug}/edit/")
    expect(bob.find("[data-unread-count]")).to_have_text("1")
    ada.save("second")
    expect(bob.find("[data-unread-count]")).to_have_text("2")
    bob.page.get_by_role("button", name="Read up to here").last.click()
    expect(bob.find("[data-unread-count]")).to_have_text("1")

    bob.find("[data-events] li").first.get_by_role("link").click()
    bob.page.wait_for_url(f"**/documents/{slug}/")


def test_a_notification_of_a_deleted_document_leads_to_no_broken_page(ada, bob):
    bob.goto("/notifications/")
    slug = ada.write("A short life")
    link = bob.find("[data-events] li").first.get_by_role("link")
    expect(link).to_have_text("A short life")
    ada.goto(f"/documents/{slug}/delete/")
    ada.page.get_by_role("button", name="Delete for everybody").click()
    expect(bob.find("[data-events] li").first).to_contain_text("deleted")
    bob.find("[data-events] li").nth(1).get_by_role("link").click()
    expect(bob.find(".notice")).to_contain_text(["“\u2068A short life\u2069” was deleted"])
    assert bob.page.url.endswith("/notifications/")
