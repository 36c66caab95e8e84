"""The events that two users of the dashboard receive about each other."""

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
from tests.unit.tidewire.fakes import place
from tidewire.contrib.edit_lease.feature import EditLeaseFeature
from tidewire.exceptions import RedisUnavailable
from tidewire.routing import with_fallback
from ws.routing import websocket_urlpatterns

ROUTER = with_fallback(URLRouter(websocket_urlpatterns))
NOBODY = SimpleNamespace(pk=None, is_authenticated=False, get_username=lambda: "")


def user(name: str) -> SimpleNamespace:
    return SimpleNamespace(pk=name, is_authenticated=True, get_username=lambda: name)


class Client(WebsocketCommunicator):
    """The socket of an open page."""

    def __init__(self, path: str, user: Any) -> None:
        super().__init__(ROUTER, path)
        self.scope["user"] = user

    async def events(self, seconds: float = 0.5) -> list[dict[str, Any]]:
        """Return the events that arrive within this time."""
        await asyncio.sleep(seconds)
        events = []
        while not self.output_queue.empty():
            events.append(json.loads(self.output_queue.get_nowait()["text"]))
        return events

    async def newest(self, seconds: float = 0.5, *, kind: str = "") -> dict[str, Any]:
        """Return the last event with a type that begins with `kind`."""
        return [event for event in await self.events(seconds) if event["type"].startswith(kind)][-1]

    async def lease(self, seconds: float = 0.5) -> tuple[str | None, str | None]:
        """Return the holder and the asker of the lease in the newest event of this page."""
        event = await self.newest(seconds, kind="lease.")
        return event.get("holder"), event.get("asker")

    async def say(self, type_: str, **fields: str) -> None:
        await self.send_to(text_data=json.dumps({"type": type_, **fields}))


@pytest.fixture
async def visit(here):
    """Open sockets as users, and close those that are still open at the end of the test."""
    clients: list[Client] = []

    async def visit(name: str, path: str) -> Client:
        client = Client(f"ws/{path}", user(name) if name else NOBODY)
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
        """The first count of a page includes its own user."""
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
        """After the grace, in every open page."""
        ada, bob = await visit("ada", "users/"), await visit("bob", "users/")
        assert (await ada.newest())["names"] == ["ada", "bob"]
        await leave(bob, here)
        assert (await ada.newest())["names"] == ["ada"]

    async def test_a_reload_shows_nowhere(self, visit, here):
        """A user that returns within the grace has neither left nor joined."""
        ada, bob = await visit("ada", "users/"), await visit("bob", "users/")
        await ada.events()
        await bob.disconnect()
        await asyncio.sleep(here.settings.GRACE_SECONDS / 2)
        await visit("bob", "users/")
        assert await ada.events(here.settings.GRACE_SECONDS + 2) == []

    async def test_names_are_at_most_twenty(self, visit, here):
        """The count includes all users; a page has the full list."""
        clients = [await visit(f"user{number:02}", "users/") for number in range(30)]
        event = await clients[0].newest()
        assert event["count"] == 30
        assert len(event["names"]) == here.settings.MAX_PRESENCE_NAMES == 20


class TestDocument:
    async def test_readers_and_editors_are_told_apart(self, visit):
        """The phase is the strongest phase of any user."""
        ada = await visit("ada", "document/plan/read/")
        assert (await ada.newest()).items() >= people("read", readers=("ada",)).items()
        bob = await visit("bob", "document/plan/update/")
        expected = people("update", readers=("ada",), editors=("bob",))
        assert (await ada.newest()).items() >= expected.items()
        assert (await bob.newest(kind="document.")).items() >= expected.items()

    async def test_an_editor_sees_a_second_one_come_and_go(self, visit, here):
        """The warning on the page shows these editors."""
        ada = await visit("ada", "document/plan/update/")
        await ada.events()
        bob = await visit("bob", "document/plan/update/")
        assert (await ada.newest(kind="document."))["editors"] == ["ada", "bob"]
        await leave(bob, here)
        assert (await ada.newest(kind="document."))["editors"] == ["ada"]

    async def test_who_edits_is_not_shown_as_a_reader_too(self, visit):
        """A user with the document open twice is one entry."""
        ada = await visit("ada", "document/plan/read/")
        await visit("ada", "document/plan/update/")
        assert (await ada.newest()).items() >= people("update", editors=("ada",)).items()

    async def test_documents_are_kept_apart(self, visit):
        """Users of another document are not visible here."""
        ada = await visit("ada", "document/plan/read/")
        await ada.events()
        await visit("bob", "document/notes/update/")
        assert await ada.events(2.0) == []

    async def test_a_document_that_does_not_exist_is_refused(self, visit):
        """The close code is final."""
        client = await visit("ada", "document/gone/read/")
        assert await client.receive_output() == {"type": "websocket.close", "code": 4504}

    @pytest.mark.parametrize(
        "path",
        ["document/plan/", "document/plan/delete/", "document/Plan/read/", f"document/{'x' * 61}/read/", "no/", ""],
    )
    async def test_an_address_that_no_page_has_is_refused(self, visit, path):
        """Neither another phase nor another form of slug is a valid path."""
        client = await visit("ada", path)
        assert await client.receive_output() == {"type": "websocket.close", "code": 4504}


class TestEditLease:
    """The socket of the editing page. The library's tests cover the guarantees of the lease itself."""

    EDIT = "document/plan/update/"

    async def test_the_first_editor_has_it_and_the_second_is_told(self, visit):
        """The event includes the duration of the lease, and the time for an answer."""
        ada = await visit("ada", self.EDIT)
        event = await ada.newest(kind="lease.")
        assert (event["type"], event["topic"], event["holder"]) == ("lease.status", "lease.plan", "ada")
        assert (event["lease_seconds"], event["answer_seconds"]) == (20.0, 30.0)
        assert await (await visit("bob", self.EDIT)).lease() == ("ada", None)

    async def test_reading_takes_nothing_and_hears_nothing(self, visit):
        """A reader is not an editor."""
        reader = await visit("eve", "document/plan/read/")
        assert await (await visit("bob", self.EDIT)).lease() == ("bob", None)
        assert {event["type"] for event in await reader.events()} == {"document.status"}

    async def test_asking_reaches_the_holder_who_hands_over(self, visit):
        """Both editors receive the result."""
        ada, bob = await visit("ada", self.EDIT), await visit("bob", self.EDIT)
        await bob.say("lease.ask")
        assert await ada.lease() == ("ada", "bob")
        assert await bob.lease() == ("ada", "bob")
        await ada.say("lease.hand_over", asker="bob")
        assert await ada.lease() == ("bob", None)
        assert await bob.lease() == ("bob", None)

    async def test_the_holder_may_keep_it(self, visit):
        """The asker receives the result too."""
        ada, bob = await visit("ada", self.EDIT), await visit("bob", self.EDIT)
        await bob.say("lease.ask")
        await bob.events()
        await ada.say("lease.keep", asker="bob")
        assert await bob.lease() == ("ada", None)

    async def test_who_does_not_answer_loses_it(self, visit, here):
        """The time is limited, although the page is open and its node touches the lease."""
        ada, bob = await visit("ada", self.EDIT), await visit("bob", self.EDIT)
        await bob.say("lease.ask")
        assert await ada.lease(here.settings.EDIT_ANSWER_SECONDS - 1) == ("ada", "bob")
        assert await ada.lease(3.0) == ("bob", None)

    async def test_an_idle_page_keeps_it(self, visit, here):
        """The node touches the lease, and the other editor receives no event."""
        await visit("ada", self.EDIT)
        bob = await visit("bob", self.EDIT)
        await bob.events()
        assert await bob.events(5 * here.settings.EDIT_LEASE_SECONDS) == []

    @pytest.mark.parametrize("code", [1006, 4000, 4001])
    async def test_a_lost_socket_keeps_it_for_its_time(self, visit, here, code):
        """The holder may return in time after a closed lid, a drain or a slow connection. Later the other gets it."""
        ada, bob = await visit("ada", self.EDIT), await visit("bob", self.EDIT)
        await bob.events()
        await ada.disconnect(code)
        await asyncio.sleep(here.settings.EDIT_LEASE_SECONDS - 3)
        ada = await visit("ada", self.EDIT)
        assert await ada.lease() == ("ada", None)
        await ada.disconnect(code)
        assert await bob.lease(here.settings.EDIT_LEASE_SECONDS + 3) == ("bob", None)
        assert await (await visit("ada", self.EDIT)).lease() == ("bob", None)

    @pytest.mark.parametrize("code", [1000, 1001, 4501])
    async def test_a_closed_page_leaves_it_to_who_waits(self, visit, here, code):
        """The lease ends after the grace of a reload, also for a revoked session."""
        ada, bob = await visit("ada", self.EDIT), await visit("bob", self.EDIT)
        await bob.events()
        await ada.disconnect(code)
        assert "lease.status" not in {event["type"] for event in await bob.events(here.settings.GRACE_SECONDS - 1)}
        assert await bob.lease(3.0) == ("bob", None)

    @pytest.mark.parametrize(
        ("path", "text", "message"),
        [
            ("document/plan/read/", '{"type":"lease.ask"}', "type: a client does not send 'lease.ask' here"),
            (
                "users/",
                '{"type":"lease.hand_over","asker":"bob"}',
                "type: a client does not send 'lease.hand_over' here",
            ),
            (EDIT, '{"type":"lease.ask","slug":"notes"}', "slug: Extra inputs are not permitted"),
            (EDIT, '{"type":"lease.hand_over"}', "asker: Field required"),
            (EDIT, '{"type":"lease.keep","asker":7}', "asker: Input should be a valid string"),
            (EDIT, '{"type":"lease.keep","asker":""}', "asker: String should have at least 1 character"),
            (EDIT, '{"type":"lease.status","topic":"lease.plan","version":9}', "lease_seconds: Field required"),
        ],
    )
    async def test_what_a_client_may_not_say_is_refused(self, visit, path, text, message):
        """Only an editor's socket may ask, for the document of its route, in exactly this form."""
        client = await visit("ada", path)
        await client.events()
        await client.send_to(text_data=text)
        event = await client.newest(kind="error")
        assert (event["code"], event["detail"]) == ("malformed", message)

    async def test_without_redis_an_editor_is_told_so(self, visit, here, monkeypatch):
        """The socket stays open, and there is no lease."""
        client = await visit("ada", self.EDIT)
        await client.events()

        async def unavailable(moves: object) -> None:
            raise RedisUnavailable("Redis is unavailable")

        monkeypatch.setattr(here.feature(EditLeaseFeature).store, "move", unavailable)
        await client.say("lease.ask")
        assert (await client.newest(kind="error"))["code"] == "unavailable"
        await client.say("ping")
        assert await client.newest() == {"type": "pong"}

    async def test_a_document_that_does_not_exist_has_no_lease(self, visit, here):
        """No user may become an editor of a document that does not exist."""
        await visit("ada", "document/gone/update/")
        await asyncio.sleep(2)
        assert await here.presence_store.versions(["lease.gone"]) == [0]


class TestDocuments:
    async def test_the_list_starts_with_all_that_is_going_on(self, visit):
        """The list contains only documents with readers or editors."""
        await visit("ada", "document/plan/read/")
        await asyncio.sleep(0.5)
        [event] = await (await visit("eve", "documents/")).events()
        assert event["complete"] is True
        assert event["documents"] == {"plan": people("read", readers=("ada",))}

    async def test_a_change_brings_what_changed_only(self, visit, here):
        """Only the changed badge is sent, not the whole list. A document without users is sent as free."""
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
        """Documents that are free are not listed."""
        await visit("eve", "documents/")
        bob = await visit("bob", "document/notes/update/")
        await visit("ada", "document/plan/update/")
        await asyncio.sleep(1)
        await leave(bob, here)
        [event] = await (await visit("eve", "documents/")).events()
        assert event["complete"] is True
        assert event["documents"] == {"plan": people("update", editors=("ada",))}

    async def test_looking_at_the_list_is_being_nowhere(self, visit):
        """The list's socket does not make its user a reader."""
        await visit("ada", "documents/")
        [event] = await (await visit("eve", "documents/")).events()
        assert event["documents"] == {}


class TestNotifications:
    async def test_a_notification_reaches_every_page(self, visit, here):
        """Each page receives it with its offset in the stream."""
        clients = [await visit(name, "notifications/?at=notifications:0:0") for name in ("ada", "bob")]
        event = NotificationCreated(
            id=UUID(int=1),
            notification_id=57,
            actor="ada",
            verb="updated",
            slug="plan",
            title="Plan",
            at=datetime(2026, 11, 23, tzinfo=UTC),
        )
        await here.publish(event)
        for client in clients:
            received = await client.newest()
            assert received.pop("offset") == 1
            assert received == json.loads(event.encode()) | {"mark": place(1).mark}

    async def test_the_topic_is_the_one_that_actions_publish_on(self):
        """Publishing checks that an event names its topic."""
        assert NotificationCreated.model_fields["topic"].default == NOTIFICATIONS.name


@pytest.mark.parametrize(
    "path", ["users/", "documents/", "document/plan/read/", "document/gone/read/", "notifications/"]
)
async def test_the_anonymous_are_refused_everywhere(visit, path):
    """The code is the same whether or not the document exists."""
    client = await visit("", path)
    assert await client.receive_output() == {"type": "websocket.close", "code": 4500}
