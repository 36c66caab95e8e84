"""A page that missed more than Redis keeps must read the rest from the database, without a click, and be right."""

import os
import signal

import pytest
import redis
from playwright.sync_api import expect

from tests.http_client import fetch, metric, submit
from tests.stack import ONE_WORKER
from tests.tabs import until

RECONNECT_MS = 40_000
STREAM = "tidewire:stream:notifications"


class Absence:
    """A stack without its only ws process, so that its pages miss events."""

    def __init__(self, stack, cookie) -> None:
        self._stack = stack
        self._cookie = cookie

    def begin(self) -> None:
        self._stack.stop_ws(0, signal.SIGKILL)

    def write(self, *titles: str) -> list[str]:
        """Create documents with these titles. Return their slugs."""
        slugs = []
        for title in titles:
            page = submit(f"{self._stack.url}/new/", self._cookie, {"title": title, "body": "first"})
            assert page.status == 302, page.text
            slugs.append(page.headers["Location"].strip("/").rpartition("/")[2])
        return slugs

    def submit(self, path: str, **fields: str) -> None:
        assert submit(f"{self._stack.url}{path}", self._cookie, fields).status == 302

    def end(self, *people) -> None:
        """Delete the missed events from Redis, then let the pages reconnect."""
        until(lambda: metric(fetch(f"{self._stack.web_urls[0]}/metrics").text, "tidewire_outbox_waiting") == 0)
        with redis.Redis.from_url(self._stack.redis_url) as client:
            assert client.xtrim(STREAM, maxlen=0) > 0
        self._stack.start_ws(0)
        for person in people:
            # Click only if the button is enabled: the page may have reconnected already.
            person.find("[data-live-state]").dispatch_event("click")
            expect(person.find("[data-live-state]")).to_have_attribute("data-live-state", "live", timeout=RECONNECT_MS)


@pytest.fixture(scope="module")
def own_stack(stack_factory):
    with stack_factory(ws=1, **ONE_WORKER) as stack:
        yield stack


@pytest.fixture
def absence(own_stack, cookies):
    return Absence(own_stack, cookies(own_stack, "ada"))


def test_the_list_of_notifications_is_complete_and_each_is_there_once(own_stack, seat, absence):
    bob = seat(own_stack, "bob")
    absence.write("Before the absence")
    bob.goto("/notifications/")
    unread = int(bob.find("[data-unread-count]").text_content())
    absence.begin()
    absence.write("Missed 1", "Missed 2", "Missed 3")
    absence.end(bob)

    rows = bob.find("[data-events] li")
    for at, title in enumerate(["Missed 3", "Missed 2", "Missed 1", "Before the absence"]):
        expect(rows.nth(at)).to_contain_text(f"ada created {title}")
    expect(bob.find("[data-unread-count]")).to_have_text(str(unread + 3))
    # The page must show one toast for all missed events.
    expect(bob.find("[data-toasts] [data-toast] p")).to_have_text(["While this page was away: 3 notifications"])
    expect(bob.find("[data-mark-all]")).to_have_attribute("value", rows.first.get_attribute("data-notification"))

    # From now on the page must be live again, and no event may show twice.
    absence.write("After the absence")
    expect(rows.first).to_contain_text("ada created After the absence")
    expect(bob.find("[data-unread-count]")).to_have_text(str(unread + 4))
    expect(bob.find("[data-events]").get_by_text("Missed 1")).to_have_count(1)


def test_what_comes_while_the_database_is_asked_is_kept(own_stack, seat, absence):
    """The response is older than the event that arrived before it."""
    bob = seat(own_stack, "bob")
    bob.goto("/notifications/")
    unread = int(bob.find("[data-unread-count]").text_content())
    late = []

    def hold_back(route):
        late.append((route, route.fetch()))

    for path in ("**/notifications/", "**/notifications/unread/"):
        bob.page.route(path, hold_back)
    absence.begin()
    absence.write("Missed alone")
    absence.end(bob)
    # The page requests the count first, and the list only after the count.
    for number in (1, 2):
        while len(late) < number:
            bob.page.wait_for_timeout(50)
        absence.write(f"Overtaking {number}")
        expect(bob.find("[data-events] li").first).to_contain_text(f"Overtaking {number}")
        route, response = late[number - 1]
        route.fulfill(response=response)
    rows = bob.find("[data-events] li")
    for at, title in enumerate(["Overtaking 2", "Overtaking 1", "Missed alone"]):
        expect(rows.nth(at)).to_contain_text(f"ada created {title}")
    expect(bob.find("[data-unread-count]")).to_have_text(str(unread + 3))


def test_a_server_that_does_not_answer_is_asked_again(own_stack, seat, absence):
    bob = seat(own_stack, "bob")
    bob.goto("/notifications/")
    refused = []

    def refuse_twice(route):
        if len(refused) < 2:
            refused.append(route)
            route.fulfill(status=503)
        else:
            route.continue_()

    bob.page.route("**/notifications/unread/", refuse_twice)
    absence.begin()
    absence.write("Missed for longer")
    absence.end(bob)
    expect(bob.find("[data-events] li").first).to_contain_text("Missed for longer", timeout=RECONNECT_MS)
    assert len(refused) == 2


def test_the_list_of_documents_is_complete(own_stack, seat, absence):
    """Documents must appear in their places, with badges and without a click."""
    bob, eve = seat(own_stack, "bob"), seat(own_stack, "eve")
    [slug] = absence.write("Read by eve")
    bob.goto("/")
    eve.goto(f"/documents/{slug}/")
    expect(bob.badge(slug)).to_contain_text("eve is reading")
    absence.begin()
    absence.write("Missed in the list")
    absence.submit(f"/documents/{slug}/edit/", title="Read by eve, renamed", body="second", version="1")
    absence.end(bob, eve)
    titles = bob.find("[data-documents] [data-title]")
    expect(titles.nth(0)).to_have_text("Read by eve, renamed")
    expect(titles.nth(1)).to_have_text("Missed in the list")
    expect(bob.badge(slug)).to_contain_text("eve is reading")
    expect(bob.find("[data-news]")).to_be_hidden()
    # A reader keeps the text on the page, with a notice that there is a newer one.
    expect(eve.find("[data-changed]")).to_contain_text("Another user saved a newer version")


def test_pages_of_documents_say_what_became_of_them(own_stack, seat, absence):
    bob, eve = seat(own_stack, "bob"), seat(own_stack, "eve")
    alone, taken = absence.write("Left alone", "Taken away")
    bob.goto(f"/documents/{alone}/edit/")
    eve.goto(f"/documents/{taken}/edit/")
    absence.begin()
    absence.submit(f"/documents/{taken}/delete/")
    absence.end(bob)
    eve.find("[data-live-state]").dispatch_event("click")
    expect(eve.find("[data-changed]")).to_contain_text("This document has been deleted.", timeout=RECONNECT_MS)
    # The page reports no change for this document; the missed count shows that it has checked.
    expect(bob.find("[data-toast=missed]")).to_be_visible()
    expect(bob.find("[data-changed]")).to_be_hidden()


def test_a_page_made_while_redis_was_away_has_what_came_before_its_socket(own_stack, seat, absence):
    """Such a page cannot know its position, so it must catch up once."""
    bob = seat(own_stack, "bob")
    routes = []

    def hold(route):
        routes.append(route)

    bob.page.route("**/main*.js", hold)
    redis_pid = own_stack.processes["redis"].pid
    os.kill(redis_pid, signal.SIGSTOP)
    try:
        bob.page.goto(f"{own_stack.url}/notifications/", wait_until="commit")
        expect(bob.find("body")).to_have_attribute("data-position", "")
    finally:
        os.kill(redis_pid, signal.SIGCONT)
    absence.write("Before the socket")
    while not routes:
        bob.page.wait_for_timeout(50)
    routes[0].continue_()
    bob.is_live()
    expect(bob.find("[data-events] li").first).to_contain_text("ada created Before the socket")
    expect(bob.toast("While this page was away: 1 notification")).to_be_visible()
    absence.write("After the socket")
    expect(bob.find("[data-events] li").first).to_contain_text("ada created After the socket")
