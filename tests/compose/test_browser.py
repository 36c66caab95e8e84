"""Two people with browsers use only the published port: pages from PostgreSQL, events from Redis, and a traced edit.

This must be the first module of the tier and have its own browser: Playwright's event loop must end before async tests.
"""

import json
import re
import sys
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browsers import Person, launched, seats

pytestmark = pytest.mark.compose

TIMEOUT_SECONDS = 15.0


class Frames:
    """Every event that a browser's sockets received."""

    def __init__(self, person: Person) -> None:
        self.page = person.page
        self.events: list[dict[str, object]] = []
        self.page.on("websocket", lambda socket: socket.on("framereceived", self._received))

    def _received(self, text: str | bytes) -> None:
        self.events.append(json.loads(text))

    def with_id(self, request_id: str) -> dict[str, object]:
        """Return the only event of a request, after it has arrived."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while not (matching := [each for each in self.events if each.get("request_id") == request_id]):
            assert time.monotonic() < end, self.events[-5:]
            # Playwright reports frames only while it waits.
            self.page.wait_for_timeout(50)
        [event] = matching
        return event


@pytest.fixture(scope="module")
def chromium(compose):
    with launched() as browser:
        yield browser


@pytest.fixture
def people(compose, chromium) -> Iterator[tuple[Person, Person]]:
    """Two people that log in with name and password on the page."""
    with seats(chromium) as sit:
        yield log_in(compose, sit, "ada"), log_in(compose, sit, "bob")


def log_in(compose, sit, name: str) -> Person:
    person = sit(name, compose.url)
    person.page.goto(f"{compose.url}/")
    person.page.wait_for_url("**/login/?next=/")
    person.page.get_by_label("Username").fill(name)
    person.page.get_by_label("Password").fill(compose.let_in(name))
    person.page.get_by_role("button", name="Log in").click()
    person.page.wait_for_url(f"{compose.url}/")
    person.is_live()
    return person


def sql(compose, query: str) -> str:
    """Query PostgreSQL itself."""
    asked = ("psql", "-h", "127.0.0.1", "-U", "tidewire", "-d", "tidewire", "-Atc", query)
    return compose(
        "exec", "-T", "postgres", "sh", "-c", 'PGPASSWORD=$(cat /run/secrets/postgres_password) "$@"', "sh", *asked
    )


def test_two_people_see_each_other_and_a_conflict_loses_nothing(compose, people):
    """The whole dashboard, with count, badge, toast, edit and conflict, and its rows in PostgreSQL."""
    ada, bob = people
    for person in people:
        expect(person.find("[data-users-count]")).to_have_text("2")
        expect(person.find("[data-online]")).to_have_attribute(
            "title", re.compile("^\u2068(ada\u2069, \u2068bob|bob\u2069, \u2068ada)\u2069$")
        )

    slug = ada.write("In containers", "one\ntwo\nthree")
    ada.goto(f"/documents/{slug}/")
    expect(bob.toast("ada created In containers")).to_be_visible()
    expect(bob.find("[data-unread-count]")).to_have_text("1")
    bob.goto("/")
    expect(bob.badge(slug)).to_have_attribute("data-phase", "read")

    ada.goto(f"/documents/{slug}/edit/")
    expect(bob.badge(slug)).to_have_attribute("data-phase", "update")
    expect(bob.badge(slug)).to_contain_text("ada is editing")

    bob.goto(f"/documents/{slug}/edit/")
    expect(ada.find("[data-second-editor]")).to_contain_text("bob is editing this document too")
    bob.write_anyway()
    bob.save("one\nTWO by bob\nthree")
    bob.page.wait_for_url(f"**/documents/{slug}/")
    expect(ada.find("[data-changed]")).to_contain_text("bob saved a newer version")

    ada.save("one\ntwo by ada\nthree")
    expect(ada.find("[data-conflict] .is-yours .differs")).to_have_text(["Differs: two by ada"])
    expect(ada.find("[data-conflict] .is-theirs .differs")).to_have_text(["Differs: TWO by bob"])
    ada.save("one\nTWO by bob and ada\nthree", button="Save over version 2")
    ada.page.wait_for_url(f"**/documents/{slug}/")
    expect(bob.find("article")).to_contain_text("TWO by bob")
    expect(bob.find("[data-changed]")).to_contain_text("ada saved a newer version")
    stored = sql(compose, "select version, body from dashboard_document where title = 'In containers'")
    assert stored.splitlines() == ["3|one", "TWO by bob and ada", "three"]


def test_an_edit_is_traced_from_nginx_to_the_browsers_event(compose, people):
    """The id of the response to ada's form must be in nginx's line, in web's and in the event in bob's browser."""
    ada, bob = people
    frames = Frames(bob)
    slug = ada.write("Traced", "first")
    bob.goto(f"/documents/{slug}/")
    ada.goto(f"/documents/{slug}/edit/")
    edit = f"/documents/{slug}/edit/"
    with ada.page.expect_response(lambda answer: answer.request.method == "POST" and answer.url.endswith(edit)) as sent:
        ada.save("second")
    request_id = sent.value.headers["x-request-id"]
    received = frames.with_id(request_id)
    expect(bob.find("[data-changed]")).to_contain_text("ada saved a newer version")

    logs = compose("logs", "--no-color", "--no-log-prefix", "nginx", "web", "relay", "ws")
    lines = [line for line in logs.splitlines() if request_id in line]
    sys.stdout.write("\n".join((*lines, f"bob's browser: {json.dumps(received)}", "")))
    # Docker puts a terminal's code before some lines.
    matching = [json.loads(line[line.index("{") :]) for line in lines]
    [passed] = [line for line in matching if "method" in line]
    assert (passed["method"], passed["path"], passed["status"]) == ("POST", edit, 302)
    [stored] = [line for line in matching if line.get("event") == "event in the outbox"]
    assert (stored["type"], stored["event_id"]) == (received["type"], received["id"])
    assert (received["verb"], received["actor"], received["title"]) == ("updated", "ada", "Traced")
