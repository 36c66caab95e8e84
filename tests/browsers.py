"""Users with browsers: each has a browser context in one shared Chromium."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from deploy.local import system
from deploy.local.system import find_program

CHROMIUM = find_program(*system.CHROMIUM.programs)
# No sandbox, because tests may run as root. The other flags keep an offline Chromium from sending network requests.
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-domain-reliability",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
]
# Chromium would prepare the popups of each window's address bar in separate renderers, at 0.7 s of CPU time.
NO_POPUPS = "WebUIOmniboxPopup,WebUIOmniboxAimPopup"
# For each page it would start another renderer in advance, which costs 0.1 s of CPU time and is seldom used.
NO_SPARES = "SpareRendererForSitePerProcess"
UNUSED = f"{NO_POPUPS},{NO_SPARES}"
# Chromium uses only the last switch of a name, so this one must repeat the features that Playwright disables.
PLAYWRIGHT_FLAGS = [
    *FLAGS,
    "--disable-features=AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,HttpsUpgrades,"
    "HttpsFirstBalancedModeAutoEnable,LensOverlay,MediaRouter,PaintHolding,ThirdPartyStoragePartitioning,"
    "AvoidCorsURLLoaderRestartOnRedirect,OptimizationHints,NetworkTimeServiceQuerying,AimEnabled,PreconnectToSearch,"
    + UNUSED,
]
# Events take milliseconds, but a busy machine with two cores may need much longer.
TIMEOUT_MS = 15_000
DESKTOP = {"width": 1280, "height": 800}

# Every state that the indicator shows is recorded in an attribute, so that a test cannot miss a short one.
WATCH_STATES = """
document.addEventListener("DOMContentLoaded", () => {
  const signal = document.querySelector("[data-live-state]");
  if (!signal) return;
  const note = () => { document.documentElement.dataset.states += ` ${signal.dataset.liveState}`; };
  document.documentElement.dataset.states = "";
  note();
  new MutationObserver(note).observe(signal, { attributeFilter: ["data-live-state"] });
});
"""


@dataclass
class Person:
    """A user at a page. Errors of the page's console and scripts are collected in `complaints`."""

    name: str
    page: Page
    url: str
    complaints: list[str]

    def goto(self, path: str) -> Page:
        """Open a page and wait until it is live."""
        self.page.goto(f"{self.url}{path}")
        self.is_live()
        return self.page

    def is_live(self) -> None:
        expect(self.find("[data-live-state]")).to_have_attribute("data-live-state", "live")

    def find(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def badge(self, slug: str) -> Locator:
        return self.find(f'[data-document="{slug}"] [data-badge]')

    def write(self, title: str, body: str = "first") -> str:
        """Create a document by two requests of this browser, which show no page; return its slug."""
        address, request = f"{self.url}/new/", self.page.context.request
        token = request.get(address).text().partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
        fields = {"csrfmiddlewaretoken": token, "title": title, "body": body.replace("\n", "\r\n")}
        answer = request.post(address, form=fields, max_redirects=0)
        assert answer.status == HTTPStatus.FOUND, answer.text()
        return answer.headers["location"].rstrip("/").rpartition("/")[2]

    def save(self, body: str, button: str = "Save") -> None:
        self.page.get_by_label("Text").fill(body)
        self.page.get_by_role("button", name=button, exact=True).click()

    def write_anyway(self) -> None:
        """Start typing although another user has the edit lease, with the page's own button."""
        self.page.get_by_role("button", name="Write anyway").click()

    def toast(self, text: str) -> Locator:
        return self.find("[data-toasts] [data-toast]").filter(has_text=text)


def why_no_browser() -> str | None:
    """Return the reason that Playwright cannot drive a browser on this machine, if there is one."""
    absent = [each.name for each in (system.CHROMIUM, system.LIBATOMIC) if not each.is_met()]
    return f"needs {' and '.join(absent)}: see `make test`" if absent else None


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    """Run one Chromium. Playwright runs an event loop meanwhile, so no async test can run in this process."""
    if reason := why_no_browser():
        pytest.skip(reason)
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=PLAYWRIGHT_FLAGS)
        yield browser
        browser.close()


class SharedChromium:
    """A Chromium for consecutive browser tests, because each start takes 2 s of CPU time.

    A pytest plugin, because the browser must be closed before any other test and before the session's fixtures end:
    neither async code nor Django's database calls work while Playwright's event loop runs.
    """

    def __init__(self) -> None:
        self._running = contextlib.ExitStack()
        self._browser: Browser | None = None
        self._in_use = self._keep = False

    def get(self) -> Iterator[Browser]:
        """Yield the browser for one test. It stays open afterwards only if the next test uses it too."""
        if self._browser is None or not self._browser.is_connected():
            self.close()
            self._browser = self._running.enter_context(launched())
        self._in_use = True
        yield self._browser
        self._in_use = False
        if not self._keep:
            self.close()

    def close(self) -> None:
        self._browser = None
        self._running.close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, nextitem: pytest.Item | None) -> None:
        self._keep = self._uses(nextitem)
        if not (self._keep or self._in_use):
            self.close()

    @staticmethod
    def _uses(item: pytest.Item | None) -> bool:
        return item is not None and "shared_chromium" in getattr(item, "fixturenames", ())


SHARED_CHROMIUM = SharedChromium()


@contextlib.contextmanager
def seats(chromium: Browser) -> Iterator[Callable[..., Person]]:
    """Yield `sit(name, url)`, which opens a browser context for a user and takes the options of a context.

    At the end all contexts are closed, and no page may have had an error in its console or scripts.
    """
    complaints: list[str] = []
    with contextlib.ExitStack() as contexts:

        def sit(name: str, url: str, **options: Any) -> Person:
            context = chromium.new_context(**({"viewport": DESKTOP} | options))
            contexts.callback(context.close)
            context.set_default_timeout(TIMEOUT_MS)
            context.add_init_script(WATCH_STATES)
            page = context.new_page()
            page.on("pageerror", lambda error: complaints.append(f"{name}: {error}"))
            page.on("console", lambda message: complaints.append(f"{name}: {message.text}") if _odd(message) else None)
            page.on("dialog", lambda dialog: dialog.accept())
            return Person(name, page, url, complaints)

        yield sit
    assert complaints == []


def _odd(message: ConsoleMessage) -> bool:
    """Return whether a message is an error. Network errors do not count: some tests refuse a save or stop a process."""
    network = ("Failed to load resource", "WebSocket connection to")
    return message.type == "error" and not message.text.startswith(network)
