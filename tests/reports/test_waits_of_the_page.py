"""Waits of the page without a deadline. `tests/conformance` tests those of the client."""

import os
import re
import signal

import pytest
from playwright.sync_api import expect

from tests.stack import ONE_WORKER

BACK_MS = 40_000


def button(person):
    return person.find("[data-live-state]")


def test_a_page_without_a_network_does_not_show_live(bob):
    """I walked into the tunnel, and the page showed Live for a minute."""
    bob.goto("/people/")
    bob.page.context.set_offline(True)
    expect(bob.find("html")).to_have_attribute("data-states", re.compile("live reconnecting"), timeout=3000)
    bob.page.context.set_offline(False)
    bob.is_live()


@pytest.fixture(scope="module")
def own_stack(stack_factory):
    with stack_factory(ws=1, **ONE_WORKER) as stack:
        yield stack


@pytest.fixture
def frozen_node(own_stack):
    """A stack whose only ws process can be stopped with `SIGSTOP`; it continues after each test."""
    yield own_stack
    os.kill(own_stack.ws[0].pid, signal.SIGCONT)


def test_a_page_that_connects_to_a_frozen_server_hears_that_the_network_is_back(frozen_node, seat):
    """The page showed Connecting for minutes, even after the server was available again."""
    bob = seat(frozen_node, "bob")
    os.kill(frozen_node.ws[0].pid, signal.SIGSTOP)
    bob.page.goto(f"{frozen_node.url}/people/")
    expect(button(bob)).to_have_text("Connecting")
    expect(button(bob)).to_be_enabled()
    # Without any event the page must report a problem after its deadline.
    expect(button(bob)).to_have_text("Reconnecting")
    os.kill(frozen_node.ws[0].pid, signal.SIGCONT)
    bob.page.evaluate("window.dispatchEvent(new Event('online'))")
    bob.is_live()


def test_a_server_that_freezes_is_noticed_when_the_page_is_looked_at(frozen_node, seat):
    """I opened my laptop, the page showed Live for a minute, and none of its values was current."""
    bob = seat(frozen_node, "bob")
    bob.page.goto(f"{frozen_node.url}/people/")
    bob.is_live()
    os.kill(frozen_node.ws[0].pid, signal.SIGSTOP)
    bob.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(button(bob)).to_have_text("Reconnecting", timeout=10_000)
    os.kill(frozen_node.ws[0].pid, signal.SIGCONT)
    # Click only if the button is enabled: the page may have reconnected already.
    button(bob).dispatch_event("click")
    bob.is_live()


def test_a_request_that_hangs_does_not_end_catching_up(bob, ada):
    """A request of the page was never answered, and the list was never brought up to date again."""
    hanging = []
    bob.page.add_init_script("AbortSignal.timeout = ((timeout) => () => timeout(300))(AbortSignal.timeout)")
    # No stream has this position, so the page must catch up.
    bob.page.add_init_script(
        "document.addEventListener('readystatechange', () => {"
        "if (document.readyState !== 'interactive') return;"
        "document.body.dataset.position = '1:1'; document.querySelector('[data-events]').replaceChildren(); })"
    )
    ada.write("Missed by a page whose request hangs")

    def hang_once(route):
        if hanging:
            route.continue_()
        hanging.append(route)

    bob.page.route("**/notifications/unread/", hang_once)
    bob.goto("/notifications/")
    expect(bob.find("[data-events]")).to_contain_text("Missed by a page whose request hangs", timeout=BACK_MS)
    assert len(hanging) >= 2
