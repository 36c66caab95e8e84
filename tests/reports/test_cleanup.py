"""Cleanup after accounting that can fail: closed sockets must not count as open.

`tests/contract/test_asgi_messages.py` covers the mistakes of a project's consumer, on real servers.
"""

import json
import time

import pytest
from websockets.sync.client import connect

from tests.http_client import fetch, metric
from tests.sockets import WAIT_SECONDS
from tests.stack import ONE_WORKER
from tidewire.conf import Settings

# Like a page: `WebSocket.close()` sends a close frame without a status.
OPEN_AND_CLOSE = """
async ([path, times]) => {
  const url = new URL(path, location.href);
  url.protocol = "ws:";
  for (let i = 0; i < times; i++) {
    const socket = new WebSocket(url);
    await new Promise((open, fail) => { socket.onopen = open; socket.onerror = fail; });
    const closed = new Promise((done) => { socket.onclose = done; });
    socket.close();
    await closed;
  }
}
"""
# Returns the type of the first event if the socket stays open, or else its close code.
STAYS = """
(path) => new Promise((tell) => {
  const url = new URL(path, location.href);
  url.protocol = "ws:";
  const socket = new WebSocket(url);
  socket.onmessage = (message) => tell(JSON.parse(message.data).type);
  socket.onclose = (closed) => tell(closed.code);
})
"""


def until(matches, seconds=WAIT_SECONDS):
    end = time.monotonic() + seconds
    while not (matched := matches()) and time.monotonic() < end:
        time.sleep(0.05)
    return matched


def sockets(stack, consumer):
    pages = [fetch(f"http://127.0.0.1:{node.admin_port}/metrics").text for node in stack.ws if node.runs]
    return sum(metric(page, "tidewire_connections", consumer=consumer) for page in pages)


def receives(stack, path, cookie, type_, matches):
    """Return whether a socket receives a matching event in time."""
    end = time.monotonic() + WAIT_SECONDS
    with connect(f"{stack.ws_url}{path}", additional_headers={"Cookie": cookie}, proxy=None) as socket:
        try:
            while True:
                event = json.loads(socket.recv(max(end - time.monotonic(), 0)))
                if event["type"] == type_ and matches(event):
                    return True
        except TimeoutError:
            return False


@pytest.fixture
def page(seat, start_stack):
    """A browser on a page of its own stack."""

    def at(**environment):
        stack = start_stack(**ONE_WORKER, **environment)
        ada = seat(stack, "ada")
        ada.goto("/")
        return stack, ada.page

    return at


def test_a_page_that_closed_its_sockets_is_gone(page, cookies):
    """Closed tabs stay online and keep the document's lease; the 101st socket is refused for good; a drain waits."""
    stack, browser = page(TIDEWIRE_WS_DRAIN_SECONDS="30")
    path = "/ws/notifications/"
    before = until(lambda: sockets(stack, "NotificationsConsumer") == 1)
    assert before, "the page has one of its own"
    browser.evaluate(OPEN_AND_CLOSE, [path, 2 * Settings.CONNECTIONS_PER_USER + 1])
    assert browser.evaluate(STAYS, path) == "resumed"
    assert until(lambda: sockets(stack, "NotificationsConsumer") == 2), sockets(stack, "NotificationsConsumer")

    slug = browser.evaluate("() => document.querySelector('[data-document]').dataset.document")
    browser.evaluate(OPEN_AND_CLOSE, [f"/ws/document/{slug}/update/", 3])
    assert until(lambda: sockets(stack, "EditorConsumer") == 0), "closed editors are gone"

    bob = cookies(stack, "bob")
    # Well before ada's lease would expire.
    edits = f"/ws/document/{slug}/update/"
    assert receives(stack, edits, bob, "lease.status", lambda lease: lease["holder"] == "bob")

    browser.evaluate(OPEN_AND_CLOSE, ["/ws/users/", 3])
    browser.goto("about:blank")
    assert receives(stack, "/ws/users/", bob, "users.count", lambda users: users["names"] == ["bob"]), "ada has left"
    assert until(lambda: sockets(stack, "UsersConsumer") == 0)
    began = time.monotonic()
    assert stack.stop_ws(0) == 0
    assert time.monotonic() - began < 10, "a drain waits for no socket that has gone"
