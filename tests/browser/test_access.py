"""The pages on a phone, by keyboard, for screen readers, in dark mode, and with reduced motion."""

import itertools
from pathlib import Path

import pytest
from playwright.sync_api import expect

from dashboard.models import TITLE_LENGTH
from tests.browsers import DESKTOP

AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8")
PHONE = {"width": 360, "height": 740}
SIZES = {"phone": PHONE, "desktop": DESKTOP}
DOCUMENT = "/documents/release-checklist-6/"
PAGES = [
    "/",
    "/new/",
    DOCUMENT,
    f"{DOCUMENT}edit/",
    f"{DOCUMENT}delete/",
    "/notifications/",
    "/people/",
    "/operations/",
]
ERROR_PAGES = ["/nothing/here/"]


def conflict(person) -> None:
    """Bring a person to the conflict page, with texts that are hard to lay out."""
    long_line = "unbroken" * 60
    slug = person.write("W" * TITLE_LENGTH, f"{long_line}\nshort")
    person.goto(f"/documents/{slug}/edit/")
    other = person.page.context.new_page()
    other.goto(person.page.url)
    other.get_by_label("Text").fill("x" * 400)
    other.get_by_role("button", name="Save").click()
    other.wait_for_url(f"**/documents/{slug}/")
    other.close()
    person.save(f"{long_line}!\nshort\n<b>markup</b>")
    expect(person.find("[data-conflict]")).to_be_visible()


def overflow(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def missing(page) -> list[str]:
    # Wait for the end of animations before measuring. Cancelled animations, such as a dismissed toast's, have ended
    # too.
    page.evaluate("Promise.allSettled(document.getAnimations().map((animation) => animation.finished))")
    return page.evaluate(AUDIT)


def faults(page, *, sizes=SIZES) -> dict:
    """Return the faults and the overflow of a page for each screen and colour scheme that has any."""
    results = {}
    for (size, viewport), scheme in itertools.product(sizes.items(), ("light", "dark")):
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        results[size, scheme] = (overflow(page), missing(page))
    return {setting: each for setting, each in results.items() if each != (0, [])}


@pytest.mark.parametrize("path", PAGES)
def test_every_page_fits_and_lacks_nothing(seat, stack, path):
    person = seat(stack, "admin", viewport=PHONE)
    assert faults(person.goto(path)) == {}


@pytest.mark.parametrize("path", ERROR_PAGES)
def test_every_error_page_fits_and_lacks_nothing(seat, stack, path):
    person = seat(stack, "admin", viewport=PHONE)
    person.page.goto(f"{stack.url}{path}")
    assert faults(person.page) == {}


def test_the_conflict_page_and_a_long_title_in_the_list_fit_and_lack_nothing(seat, stack):
    person = seat(stack, "admin", viewport=PHONE)
    conflict(person)
    person.is_live()
    assert faults(person.page) == {}
    assert faults(person.goto("/")) == {}


def test_the_login_page_fits_and_lacks_nothing(chromium, stack):
    context = chromium.new_context(viewport=PHONE)
    page = context.new_page()
    page.goto(f"{stack.url}/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".errorlist")).to_be_visible()
    assert faults(page, sizes={"phone": PHONE}) == {}
    context.close()


def test_a_toast_on_a_phone_fits(ada, seat, stack):
    phone = seat(stack, "bob", viewport=PHONE)
    phone.goto("/")
    ada.write("A title that is rather long for the toast on such a small screen")
    expect(phone.toast("rather long")).to_be_visible()
    assert (overflow(phone.page), missing(phone.page)) == (0, [])


def focused(page) -> str:
    return page.evaluate(
        "() => { const at = document.activeElement;"
        " return (at.getAttribute('aria-label') ?? at.textContent).trim().replace(/\\s+/g, ' '); }"
    )


def test_the_keyboard_goes_through_the_page_in_reading_order(ada):
    page = ada.goto("/")
    order = []
    for _ in range(7):
        page.keyboard.press("Tab")
        order.append(focused(page))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", order
    assert order[0] == "Skip to the content"
    assert order[1:3] == ["tidewire", "Documents"]
    assert order[3].startswith("Notifications")
    assert order[4].endswith("online")
    assert order[5:] == ["Aada: your account", "New document"]


def test_the_first_key_skips_to_the_content(ada):
    page = ada.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert focused(page) == "New document"


def test_the_account_menu_by_keyboard(ada):
    page = ada.goto("/")
    menu = page.locator("[data-menu]")
    menu.locator("summary").press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()
    assert focused(page).startswith("A")


def test_a_document_is_written_by_keyboard_alone(ada):
    page = ada.goto("/new/")
    page.get_by_label("Title").focus()
    page.keyboard.type("Typed")
    page.keyboard.press("Tab")
    page.keyboard.type("by hand")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("article")).to_contain_text("by hand")


def test_live_regions_do_not_chatter(ada, bob):
    """Counts and badges change silently, news is polite, and only the second editor interrupts."""
    page = ada.goto("/")
    for silent in ("[data-users-count]", "[data-badge]", "[data-own-toasts]", "[data-unread]", "[data-live-state]"):
        assert page.locator(silent).first.evaluate("element => element.closest('[aria-live], [role=status]')") is None
    expect(page.locator("[data-toasts]")).to_have_attribute("aria-live", "polite")

    slug = ada.write("A document that warns once")
    ada.goto(f"/documents/{slug}/edit/")
    warning = ada.find("[data-second-editor]")
    expect(warning).to_have_role("alert")
    warning.evaluate(
        "element => { window.alerts = 0; new MutationObserver(() => { window.alerts += 1; })"
        ".observe(element, { subtree: true, childList: true, characterData: true }); }"
    )
    bob.goto(f"/documents/{slug}/edit/")
    expect(warning).to_be_visible()
    bob.goto(f"/documents/{slug}/edit/")
    expect(ada.badge(slug)).to_contain_text("bob is editing")
    assert page.evaluate("alerts") <= 2  # the name and its verb, written once


def test_who_wants_no_motion_gets_none(seat, stack, bob):
    still = seat(stack, "ada", reduced_motion="reduce")
    still.goto("/")
    bob.write("A document without motion")
    expect(still.toast("without motion")).to_be_visible()
    assert still.page.evaluate("document.getAnimations().length") == 0


def test_without_scripts_the_pages_still_work(chromium, cookies, stack):
    context = chromium.new_context(java_script_enabled=False)
    key, _, value = cookies(stack, "ada").partition("=")
    context.add_cookies([{"name": key, "value": value, "url": stack.url}])
    page = context.new_page()
    page.goto(f"{stack.url}/new/")
    page.get_by_label("Title").fill("Without scripts")
    page.get_by_role("button", name="Create document").click()
    expect(page.locator("article")).to_contain_text("Without scripts")
    context.close()
