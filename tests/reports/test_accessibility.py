"""Reports of checkers and people about the pages: axe, forced colours, no scripts, untrue messages."""

import itertools

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.test_access import PAGES as EVERY_PAGE
from tests.browser.test_access import SIZES
from web.documents import DocumentList

PAGES = ["/?page=2", *EVERY_PAGE]
LISTS = ("/", "/?page=2")


def violations(page) -> list[str]:
    results = Axe().run(page).response["violations"]
    return [f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:120]}" for each in results]


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing(seat, stack, path):
    """Axe reports a link without a name on a phone, and links that differ from the text only by colour."""
    person = seat(stack, "admin", bypass_csp=True, reduced_motion="reduce")
    if path in LISTS:
        for _ in range(DocumentList.paginate_by):
            person.write("One of so many that the list has pages")
    page, violations_by_state = person.goto(path), {}
    assert path not in LISTS or page.locator(".pages").count()
    for (name, size), scheme in itertools.product(SIZES.items(), ("light", "dark")):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        violations_by_state[name, scheme] = violations(page)
    assert not any(violations_by_state.values()), violations_by_state


def test_forced_colours_keep_what_only_a_background_showed(seat, stack):
    """In Windows' high contrast I cannot tell which tab I am on, and the state of the connection has no dot."""
    person = seat(stack, "ada", forced_colors="active")
    page = person.goto("/")
    border = "element => getComputedStyle(element).borderBottomColor"
    current, other = (page.locator(f".tabs-nav a{which}") for which in ("[aria-current]", ":not([aria-current])"))
    assert current.evaluate(border) != other.first.evaluate(border)
    dot = page.locator(".signal-dot")
    assert dot.evaluate("element => getComputedStyle(element).borderTopWidth") == "1px"


def test_who_edits_is_shown_by_more_than_a_colour(ada, bob):
    """I am colour-blind: editors and readers look the same."""
    slug = ada.write("A document for two")
    ada.goto(f"/documents/{slug}/edit/")
    bob.goto("/")
    editor = bob.badge(slug).locator(".is-editing .person-name")
    expect(editor).to_be_visible()
    assert "✎" in editor.evaluate("element => getComputedStyle(element, '::after').content")


def test_without_scripts_no_page_claims_to_connect(chromium, cookies, stack):
    """With JavaScript off, the page shows Connecting forever."""
    context = chromium.new_context(java_script_enabled=False)
    key, _, value = cookies(stack, "ada").partition("=")
    context.add_cookies([{"name": key, "value": value, "url": stack.url}])
    page = context.new_page()
    page.goto(f"{stack.url}/")
    expect(page.locator("[data-live-state]")).to_be_hidden()
    # Playwright's locators by text ignore <noscript>.
    expect(page.locator("noscript .notice")).to_be_visible()
    assert "JavaScript is off" in page.locator("main").inner_text()
    context.close()


def test_the_refusal_of_operations_speaks_of_operations(ada, stack):
    """I opened Operations, and the page explained that I cannot delete documents."""
    ada.page.goto(f"{stack.url}/operations/")
    expect(ada.find(".lead")).to_contain_text("operations pages are for staff")
    expect(ada.find("body")).not_to_contain_text("delet")
