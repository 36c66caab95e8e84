"""What two people on the dashboard see of each other through its sockets."""

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator

from dashboard.events import NotificationCreated
from dashboard.topics import NOTIFICATIONS
from tidewire.publish import publish
from tidewire.routing import with_fallback
from ws.routing import websocket_urlpatterns

ROUTER = with_fallback(URLRouter(websocket_urlpatterns))
NOBODY = SimpleNamespace(pk=None, is_authenticated=False, get_username=lambda: "")


def user(name: str) -> SimpleNamespace:
    return SimpleNamespace(pk=name, is_authenticated=True, get_username=lambda: name)


class Client(WebsocketCommunicator):
    """One open page's socket."""

    def __init__(self, where: str, who: Any) -> None:
        super().__init__(ROUTER, where)
        self.scope["user"] = who

    async def events(self, seconds: float = 0.5) -> list[dict[str, Any]]:
        """What came by the end of so many seconds."""
        await asyncio.sleep(seconds)
        events = []
        while not self.output_queue.empty():
            events.append(json.loads(self.output_queue.get_nowait()["text"]))
        return events

    async def newest(self, seconds: float = 0.5) -> dict[str, Any]:
        return (await self.events(seconds))[-1]


@pytest.fixture
async def visit(here):
    """Opens sockets as users, and closes those still open at the end of the test."""
    clients: list[Client] = []

    async def visit(name: str, where: str) -> Client:
        client = Client(f"ws/{where}", user(name) if name else NOBODY)
        clients.append(client)
        accepted, _ = await client.connect()
        assert accepted
        return client

    yield visit
    for client in clients:
        if not client.future.done():
            await client.disconnect()


async def leave(client: Client, here) -> None:
    """Close the page, and let the grace pass."""
    await client.disconnect()
    await asyncio.sleep(here.settings.GRACE_SECONDS + 2)


def people(phase: str = "free", readers: tuple[str, ...] = (), editors: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "phase": phase,
        "readers": list(readers),
        "editors": list(editors),
        "reader_count": len(readers),
        "editor_count": len(editors),
    }


class TestUsers:
    async def test_a_user_counts_themself(self, visit):
        """The first count that a page gets has its own user in it."""
        client = await visit("ada", "users/")
        [event] = await client.events()
        assert (event["type"], event["topic"], event["count"], event["names"]) == ("users.count", "users", 1, ["ada"])

    async def test_a_user_with_five_tabs_is_one(self, visit):
        """Users are counted, not sockets."""
        tabs = [await visit("ada", "users/") for _ in range(5)]
        await visit("bob", "users/")
        for tab in tabs:
            assert (await tab.newest())["count"] == 2

    async def test_who_leaves_is_no_longer_counted(self, visit, here):
        """After the grace, and in every open page."""
        ada, bob = await visit("ada", "users/"), await visit("bob", "users/")
        assert (await ada.newest())["names"] == ["ada", "bob"]
        await leave(bob, here)
        assert (await ada.newest())["names"] == ["ada"]

    async def test_a_reload_shows_nowhere(self, visit, here):
        """Who is back within the grace neither left nor came."""
        ada, bob = await visit("ada", "users/"), await visit("bob", "users/")
        await ada.events()
        await bob.disconnect()
        await asyncio.sleep(here.settings.GRACE_SECONDS / 2)
        await visit("bob", "users/")
        assert await ada.events(here.settings.GRACE_SECONDS + 2) == []

    async def test_names_are_at_most_twenty(self, visit, here):
        """The count is of all; the full list is a page."""
        clients = [await visit(f"user{number:02}", "users/") for number in range(30)]
        event = await clients[0].newest()
        assert event["count"] == 30
        assert len(event["names"]) == here.settings.NAMES_LIMIT == 20


class TestDocument:
    async def test_readers_and_editors_are_told_apart(self, visit):
        """The phase is the strongest that anybody has."""
        ada = await visit("ada", "document/plan/read/")
        assert (await ada.newest()).items() >= people("read", readers=("ada",)).items()
        bob = await visit("bob", "document/plan/update/")
        expected = people("update", readers=("ada",), editors=("bob",))
        assert (await ada.newest()).items() >= expected.items()
        assert (await bob.newest()).items() >= expected.items()

    async def test_an_editor_sees_a_second_one_come_and_go(self, visit, here):
        """What the warning on the page is made of."""
        ada = await visit("ada", "document/plan/update/")
        await ada.events()
        bob = await visit("bob", "document/plan/update/")
        assert (await ada.newest())["editors"] == ["ada", "bob"]
        await leave(bob, here)
        assert (await ada.newest())["editors"] == ["ada"]

    async def test_who_edits_is_not_shown_as_a_reader_too(self, visit):
        """One person with the document open twice is one entry."""
        ada = await visit("ada", "document/plan/read/")
        await visit("ada", "document/plan/update/")
        assert (await ada.newest()).items() >= people("update", editors=("ada",)).items()

    async def test_documents_are_kept_apart(self, visit):
        """Who is on another document is none of this one's."""
        ada = await visit("ada", "document/plan/read/")
        await ada.events()
        await visit("bob", "document/notes/update/")
        assert await ada.events(2.0) == []

    async def test_a_document_that_does_not_exist_is_refused(self, visit):
        """With the final code that says so."""
        client = await visit("ada", "document/gone/read/")
        assert await client.receive_output() == {"type": "websocket.close", "code": 4504}

    @pytest.mark.parametrize(
        "where",
        ["document/plan/", "document/plan/delete/", "document/Plan/read/", f"document/{'x' * 61}/read/", "no/", ""],
    )
    async def test_an_address_that_no_page_has_is_refused(self, visit, where):
        """Neither another phase nor another kind of slug."""
        client = await visit("ada", where)
        assert await client.receive_output() == {"type": "websocket.close", "code": 4504}


class TestDocuments:
    async def test_the_list_starts_with_all_that_is_going_on(self, visit):
        """Only documents with somebody on them."""
        await visit("ada", "document/plan/read/")
        await asyncio.sleep(0.5)
        [event] = await (await visit("eve", "documents/")).events()
        assert event["complete"] is True
        assert event["documents"] == {"plan": people("read", readers=("ada",))}

    async def test_a_change_brings_what_changed_only(self, visit, here):
        """A badge, not the whole list; one that nobody is on any more is said to be free."""
        await visit("ada", "document/plan/read/")
        await asyncio.sleep(0.5)
        listing = await visit("eve", "documents/")
        await listing.events()
        bob = await visit("bob", "document/notes/update/")
        event = await listing.newest()
        assert event["complete"] is False
        assert event["documents"] == {"notes": people("update", editors=("bob",))}
        await leave(bob, here)
        event = await listing.newest()
        assert event["documents"] == {"notes": people("free")}

    async def test_who_comes_later_gets_the_whole_with_all_changes(self, visit, here):
        """What was free before is not listed."""
        await visit("eve", "documents/")
        bob = await visit("bob", "document/notes/update/")
        await visit("ada", "document/plan/update/")
        await asyncio.sleep(1)
        await leave(bob, here)
        [event] = await (await visit("eve", "documents/")).events()
        assert event["complete"] is True
        assert event["documents"] == {"plan": people("update", editors=("ada",))}

    async def test_looking_at_the_list_is_being_nowhere(self, visit):
        """The list's socket makes nobody a reader."""
        await visit("ada", "documents/")
        [event] = await (await visit("eve", "documents/")).events()
        assert event["documents"] == {}


class TestNotifications:
    async def test_a_notification_reaches_every_page(self, visit, here):
        """Where it happened and elsewhere, with its place in the stream."""
        clients = [await visit(name, "notifications/?at=0:0") for name in ("ada", "bob")]
        event = NotificationCreated(
            id=UUID(int=1),
            notification_id=57,
            actor="ada",
            verb="updated",
            slug="plan",
            title="Plan",
            at=datetime(2026, 11, 23, tzinfo=UTC),
        )
        await publish(event, streams=here.streams, layer=here.hub._layer, prefix=here.settings.PREFIX)
        for client in clients:
            received = await client.newest()
            assert received.pop("offset") == 1
            assert received == json.loads(event.encode())

    async def test_the_topic_is_the_one_that_actions_publish_on(self):
        """Publishing checks that an event names its topic."""
        assert NotificationCreated.model_fields["topic"].default == NOTIFICATIONS.name


@pytest.mark.parametrize(
    "where", ["users/", "documents/", "document/plan/read/", "document/gone/read/", "notifications/"]
)
async def test_the_anonymous_are_refused_everywhere(visit, where):
    """With the same code, whether or not there is such a document."""
    client = await visit("", where)
    assert await client.receive_output() == {"type": "websocket.close", "code": 4500}
