"""When the ws process of the pages ends, they show it, reconnect to the other process, and are right again."""

import re
import signal

import pytest
from playwright.sync_api import expect

from tests.stack import ONE_WORKER

# A client's third attempt may wait four seconds, and nginx skips a failed process for some more.
RECONNECT_MS = 40_000


@pytest.fixture(scope="module")
def own_stack(stack_factory):
    with stack_factory(ws=2, **ONE_WORKER) as stack:
        yield stack


@pytest.fixture
def stack(own_stack):
    """A stack with a stopped second ws process. Processes that the previous test has stopped are started again."""
    for name, process in own_stack.processes.items():
        if not process.runs:
            own_stack.start(name)
    own_stack.stop_ws(1)
    return own_stack


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_pages_come_back_through_the_other_process(stack, seat, number):
    ada, bob = seat(stack, "ada"), seat(stack, "bob")
    ada.goto("/")
    bob.goto("/notifications/")
    expect(ada.find("[data-users-count]")).to_have_text("2")
    for person in (ada, bob):
        expect(person.find("html")).to_have_attribute("data-states", re.compile("^( connecting)* live$"))
    unread = int(bob.find("[data-unread-count]").text_content())

    stack.start_ws(1)
    stack.stop_ws(0, number)
    for person in (ada, bob):
        states = re.compile("live reconnecting .*live$")
        expect(person.find("html")).to_have_attribute("data-states", states, timeout=RECONNECT_MS)
        expect(person.find("[data-users-count]")).to_have_text("2")

    # The page must be as live as before: it receives each event once.
    slug = ada.write("After the reconnect")
    expect(bob.toast("ada created After the reconnect")).to_be_visible()
    expect(bob.find("[data-unread-count]")).to_have_text(str(unread + 1))
    ada.goto("/")
    bob.goto(f"/documents/{slug}/")
    expect(ada.badge(slug)).to_contain_text("bob is reading")


def test_nothing_that_happened_meanwhile_is_missed(stack, seat):
    ada, bob = seat(stack, "ada"), seat(stack, "bob")
    bob.goto("/notifications/")
    stack.stop_ws(0, signal.SIGKILL)
    signal_button = bob.find("[data-live-state]")
    expect(signal_button).to_have_attribute("data-live-state", "reconnecting")
    expect(signal_button).to_have_text("Reconnecting")
    expect(signal_button).to_be_enabled()
    expect(bob.find("[data-announcer]")).to_contain_text("reconnecting")

    # Pages need no socket, so documents can still be written.
    ada.page.goto(f"{stack.url}/new/")
    ada.page.get_by_label("Title").fill("Written meanwhile")
    ada.page.get_by_role("button", name="Create document").click()
    expect(ada.find("article")).to_contain_text("Written meanwhile")

    stack.start_ws(0)
    signal_button.click()
    expect(bob.find("[data-live-state]")).to_have_attribute("data-live-state", "live", timeout=RECONNECT_MS)
    expect(bob.find("[data-events] li").first).to_contain_text("ada created Written meanwhile")
    expect(bob.find("[data-announcer]")).to_contain_text("live again")


def test_pages_work_without_redis_and_recover(stack, seat):
    ada = seat(stack, "ada")
    ada.goto("/")
    stack.stop("redis", signal.SIGKILL)
    expect(ada.find("[data-live-state]")).to_have_attribute("data-live-state", "stale")
    # The page as rendered by the server. In the browser, its socket soon shows the node's cached count, marked as
    # stale.
    page = ada.page.context.request.get(f"{stack.url}/new/").text()
    assert "<b data-users-count>–</b>" in page  # noqa: RUF001 - the dash that the page shows
    ada.page.goto(f"{stack.url}/new/")
    ada.page.get_by_label("Title").fill("Written without Redis")
    ada.page.get_by_role("button", name="Create document").click()
    expect(ada.find("article")).to_contain_text("Written without Redis")

    stack.start("redis")
    expect(ada.find("[data-live-state]")).to_have_attribute("data-live-state", "live", timeout=RECONNECT_MS)
    expect(ada.find("[data-users-count]")).to_have_text("1")
