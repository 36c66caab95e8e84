"""People at browsers: each has a context of their own in one Chromium, logged in to the real stack."""

import asyncio
import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.sockets import open_socket
from tests.stack import Stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# No sandbox: tests may run as root. The rest keeps an offline Chromium from asking the network for anything.
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
# Events take milliseconds; a loaded machine with two cores is waited for.
PATIENCE_MS = 15_000
DESKTOP = {"width": 1280, "height": 800}
PICTURES = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
LARGEST_BYTES = 200_000

# Every state that the indicator shows is kept, in an attribute that a test can wait for: looking at the right
# moment would be luck.
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


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)


@dataclass
class Person:
    """Somebody at a page. Whatever the page's console or scripts complain about is kept."""

    name: str
    page: Page
    url: str
    complaints: list[str]

    def goto(self, path: str) -> Page:
        """Opens a page and waits until it is live."""
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
        """Creates a document through the pages; returns its slug."""
        self.goto("/new/")
        self.page.get_by_label("Title").fill(title)
        self.page.get_by_label("Text").fill(body)
        self.page.get_by_role("button", name="Create document").click()
        self.page.wait_for_url("**/documents/*/")
        return self.page.url.rstrip("/").rpartition("/")[2]

    def save(self, body: str, button: str = "Save") -> None:
        self.page.get_by_label("Text").fill(body)
        self.page.get_by_role("button", name=button, exact=True).click()

    def write_anyway(self) -> None:
        """Types beside whoever holds the edit lease, as the page offers."""
        self.page.get_by_role("button", name="Write anyway").click()

    def toast(self, text: str) -> Locator:
        return self.find("[data-toasts] [data-toast]").filter(has_text=text)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One Chromium per module. Playwright keeps an event loop running, which other tiers must not meet."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: see `make test`")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def cookies() -> Callable[[Stack, str], str]:
    """A user's session on a stack; all of a stack's are made at its first, because that starts a Python."""
    known: dict[str, dict[str, str]] = {}

    def cookie(stack: Stack, name: str) -> str:
        if stack.url not in known:
            known[stack.url] = stack.sessions(*stack.users)
        return known[stack.url][name]

    return cookie


@pytest.fixture
def seat(chromium, cookies) -> Iterator[Callable[..., Person]]:
    """`seat(stack, "ada")`: ada at a browser of her own, on that stack. Options are those of a browser context."""
    with contextlib.ExitStack() as contexts:
        complaints: list[str] = []

        def sit(stack: Stack, name: str, **options: Any) -> Person:
            context = chromium.new_context(**({"viewport": DESKTOP} | options))
            contexts.callback(context.close)
            context.set_default_timeout(PATIENCE_MS)
            context.add_init_script(WATCH_STATES)
            key, _, value = cookies(stack, name).partition("=")
            context.add_cookies([{"name": key, "value": value, "url": stack.url}])
            page = context.new_page()
            page.on("pageerror", lambda error: complaints.append(f"{name}: {error}"))
            page.on("console", lambda message: complaints.append(f"{name}: {message.text}") if _odd(message) else None)
            page.on("dialog", lambda dialog: dialog.accept())
            return Person(name, page, stack.url, complaints)

        yield sit
    assert complaints == []


def _odd(message) -> bool:
    """Errors, but for those of the network: a refused save and a stopped process are what some tests are about."""
    network = ("Failed to load resource", "WebSocket connection to")
    return message.type == "error" and not message.text.startswith(network)


@pytest.fixture
def ada(seat, stack) -> Person:
    return seat(stack, "ada")


@pytest.fixture
def bob(seat, stack) -> Person:
    return seat(stack, "bob")


@pytest.fixture
def picture(tmp_path):
    """`picture(page, name)` takes one, to keep with TIDEWIRE_SCREENSHOTS=1."""
    keep = os.environ.get("TIDEWIRE_SCREENSHOTS") == "1"
    directory = PICTURES if keep else tmp_path
    directory.mkdir(parents=True, exist_ok=True)

    def take(page, name):
        path = directory / f"{name}.png"
        page.screenshot(path=path, animations="disabled", caret="hide")
        assert path.stat().st_size < LARGEST_BYTES

    return take


@pytest.fixture
def crowd(cookies):
    """`crowd(stack, "ws-0", 60)`: so many sockets of bob's straight on one node, until it closes them."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    opened = []

    async def open_one(stack, name, cookie):
        node = next(node for node in stack.ws if node.name == name)
        opened.append(await open_socket(stack, "/ws/documents/", cookie, at=f"ws://127.0.0.1:{node.port}"))

    async def close_all():
        await asyncio.gather(*(socket.close() for socket in opened))

    def gather(stack, name, count):
        cookie = cookies(stack, "bob")
        for _ in range(count):
            asyncio.run_coroutine_threadsafe(open_one(stack, name, cookie), loop).result(15)

    yield gather
    asyncio.run_coroutine_threadsafe(close_all(), loop).result(15)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
