"""A page is only for its user: not for anyone after a logout, and not for another project on the same host."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.browsers import CHROMIUM, PLAYWRIGHT_FLAGS, why_no_browser
from tests.integration.dashboard.test_environment import PRODUCTION, run
from tests.stack import CSRF_COOKIE, SESSION_COOKIE, Stack


@pytest.fixture(scope="module")
def caching_chromium():
    """A Chromium with the usual settings: Playwright's own keeps no page to go back to."""
    if reason := why_no_browser():
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=PLAYWRIGHT_FLAGS, ignore_default_args=["--disable-back-forward-cache"]
        )
        yield browser
        browser.close()


BACK_MS = 4000
PAGES = {"a document": "/documents/{slug}/", "its editing": "/documents/{slug}/edit/"}


@contextmanager
def page_of_ada(stack: Stack, chromium: Browser, **options: bool) -> Iterator[Page]:
    context = chromium.new_context(base_url=stack.url, **options)
    [cookie] = stack.sessions("ada").values()
    name, _, value = cookie.partition("=")
    context.add_cookies([{"name": name, "value": value, "url": stack.url}])
    try:
        yield context.new_page()
    finally:
        context.close()


@pytest.mark.browser
@pytest.mark.parametrize("page_of", PAGES)
def test_back_after_a_logout_shows_nothing(stack: Stack, caching_chromium, page_of):
    """I logged out on a shared computer; the next person pressed Back and read my documents."""
    with page_of_ada(stack, caching_chromium) as page:
        page.goto("/")
        slug = page.locator("a[href^='/documents/']").first.get_attribute("href").split("/")[2]
        page.goto(PAGES[page_of].format(slug=slug))
        expect(page.locator("[data-live-state]")).to_have_attribute("data-live-state", "live")
        page.goto("/people/")
        page.evaluate("document.querySelector('form[action=\"/logout/\"]').submit()")
        page.wait_for_url("**/login/**")
        for _ in range(2):
            page.evaluate("history.back()")
            page.wait_for_url("**/login/?next=**")
            assert "ada" not in page.locator("body").inner_text()


@pytest.mark.browser
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("away", [True, False], ids=["no network", "network"])
def test_a_browser_keeps_no_page_for_after_the_logout(stack: Stack, caching_chromium, scripts, away):
    """The next person switched off the network or scripts, and Back showed my page as I had left it."""
    with page_of_ada(stack, caching_chromium, java_script_enabled=scripts) as page:
        page.goto("/")
        page.goto("/people/")
        page.locator("[data-menu] summary").click()
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login/**")
        page.context.set_offline(away)
        with suppress(Error):  # there may be no page to go back to
            page.go_back(timeout=BACK_MS)
        page.wait_for_url("chrome-error://**" if away else "**/login/?next=**")
        assert "online" not in page.locator("body").inner_text()


@pytest.mark.integration
def test_cookies_have_names_of_the_projects_own(stack: Stack):
    """Next to another Django project on localhost, each login there ended mine here: both used the cookie sessionid."""
    names = {pair.partition("=")[0] for pair in stack.login("ada").split("; ")}
    assert names == {SESSION_COOKIE, CSRF_COOKIE, "tidewire_ticket", "tidewire_device"}
    assert settings.MESSAGES_COOKIE_NAME == "tidewire_messages"


@pytest.mark.integration
def test_behind_tls_only_this_host_can_set_the_cookies():
    """Another application on a subdomain could set a session cookie for my visitors."""
    names = ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "MESSAGES_COOKIE_NAME", "SESSION_COOKIE_PATH")
    code = f"from django.conf import settings; print(*(getattr(settings, name) for name in {names}))"
    done = run("-c", code, **PRODUCTION)
    assert done.stdout.split() == [*(f"__Host-tidewire_{name}" for name in ("session", "csrf", "messages")), "/"]
