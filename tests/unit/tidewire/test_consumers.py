"""Live consumers over plain ASGI: authorization, messages of clients, and complete cleanup."""

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, ClassVar
from uuid import UUID

import pytest
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.urls import path

from tests.unit.tidewire.fakes import ENDS, FakeWriter, Hall, Said, place
from tidewire import consumers, metrics
from tidewire.auth.feature import SessionFeature
from tidewire.auth.sessions import session_hash
from tidewire.close_codes import CloseCode
from tidewire.consumers import MALFORMED_LIMIT, LiveConsumer
from tidewire.events import Event, Ping
from tidewire.presence import PresenceKey
from tidewire.refusals import log_refusal
from tidewire.routing import with_fallback
from tidewire.server.node import Node
from tidewire.topics import StreamTopic, Topic

ADA = SimpleNamespace(pk=1, is_authenticated=True, get_username=lambda: "ada")
NOBODY = SimpleNamespace(pk=None, is_authenticated=False, get_username=lambda: "")
TALK = StreamTopic("talk")


class HallConsumer(LiveConsumer):
    """Shows the users in the hall, and adds its own user."""

    def topics(self) -> Sequence[Topic]:
        return (Hall("hall"),)

    def presence(self) -> Sequence[PresenceKey]:
        return (PresenceKey("hall", "in", self.scope["user"].get_username()),)


class TalkConsumer(LiveConsumer):
    """Receives the events of the talk."""

    def topics(self) -> Sequence[Topic]:
        return (TALK,)


class PublicConsumer(LiveConsumer):
    """Accepts anonymous visitors."""

    async def authorize(self) -> CloseCode | None:
        return None


class BothConsumer(LiveConsumer):
    """Subscribes to two stream topics."""

    def topics(self) -> Sequence[Topic]:
        return (TALK, StreamTopic("other"))


class TwiceConsumer(LiveConsumer):
    """Names the same topic twice."""

    def topics(self) -> Sequence[Topic]:
        return (TALK, TALK)


class OddConsumer(LiveConsumer):
    """Fails in the method that its user's name selects."""

    handlers: ClassVar[dict[type[Event], str]] = {Ping: "ping"}

    async def authorize(self) -> CloseCode | None:
        if self.scope["user"].get_username() == "forbidden":
            return CloseCode.FORBIDDEN
        if self.scope["user"].get_username() == "undecided":
            await asyncio.Event().wait()
        return await super().authorize()

    def topics(self) -> Sequence[Topic]:
        if self.scope["user"].get_username() == "greedy":
            return [StreamTopic(f"t{number}") for number in range(100)]
        return ()

    async def ping(self, _message: Ping) -> None:
        if self.scope["user"].get_username() == "hanging":
            await asyncio.Event().wait()
        raise KeyError("a bug")


ROUTER = with_fallback(
    URLRouter(
        [
            path("hall/", HallConsumer.as_asgi()),
            path("talk/", TalkConsumer.as_asgi()),
            path("public/", PublicConsumer.as_asgi()),
            path("both/", BothConsumer.as_asgi()),
            path("twice/", TwiceConsumer.as_asgi()),
            path("odd/", OddConsumer.as_asgi()),
        ]
    )
)


class Client(WebsocketCommunicator):
    """The client's side of a socket."""

    def __init__(self, where: str, *, user: Any = ADA, **scope: Any) -> None:
        super().__init__(ROUTER, where)
        self.scope |= {"user": user, **scope}

    async def sent(self, seconds: float = 0.5) -> list[dict[str, Any]]:
        """Return everything that the server sends in this time, including accept and close."""
        await asyncio.sleep(seconds)
        messages = []
        while not self.output_queue.empty():
            messages.append(self.output_queue.get_nowait())
        return messages

    async def events(self, seconds: float = 0.5) -> list[dict[str, Any]]:
        messages = await self.sent(seconds)
        assert {message["type"] for message in messages} <= {"websocket.send"}
        return [json.loads(message["text"]) for message in messages]

    async def say(self, text: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": text})


@pytest.fixture
async def connect(here):
    """Open sockets, and close those that are still open at the end of the test."""
    clients: list[Client] = []

    async def connect(where: str, **scope: Any) -> Client:
        client = Client(where, **scope)
        clients.append(client)
        accepted, _ = await client.connect()
        assert accepted
        return client

    yield connect
    for client in clients:
        if not client.future.done():
            await client.disconnect()


def counted(metric, *labels: str) -> float:
    return metric.labels(*labels)._value.get()


def closes(messages: list[dict[str, Any]]) -> list[int]:
    return [message["code"] for message in messages if message["type"] == "websocket.close"]


async def say_on_talk(here: Node, number: int, text: str) -> None:
    event = Said(id=UUID(int=number), text=text)
    await here.publish(event)


class TestConnecting:
    async def test_a_user_is_let_in_and_shown_the_topic(self, connect):
        """The first event is a value that includes this user."""
        client = await connect("hall/")
        [event] = await client.events()
        assert (event["type"], event["names"]) == ("test.here", ["ada"])

    async def test_the_anonymous_are_closed_with_a_code_of_their_own(self, connect, here):
        """A browser receives the code only after an accepted handshake. No event may be sent before the close."""
        before = counted(metrics.CONNECTS, "HallConsumer", "unauthenticated")
        client = await connect("hall/", user=NOBODY)
        assert await client.sent() == [{"type": "websocket.close", "code": 4500}]
        assert here.connections == set()
        assert counted(metrics.CONNECTS, "HallConsumer", "unauthenticated") == before + 1

    async def test_a_refusal_is_one_line_with_the_request(self, connect, caplog):
        """Nginx's line of the handshake has the same id, and a success: it was accepted before it was closed."""
        log_refusal._periods.clear()
        with caplog.at_level(logging.INFO):
            await connect("hall/", user=NOBODY, headers=[(b"x-request-id", b"5f2a"), (b"x-real-ip", b"192.0.2.7")])
        [record] = [record for record in caplog.records if "refused" in record.message]
        assert record.message == "handshake refused: unauthenticated"
        assert (record.consumer, record.request_id) == ("HallConsumer", "5f2a")
        assert "192.0.2.7" not in str(vars(record))

    async def test_the_lines_of_an_anonymous_visitor_have_no_address(self, connect, caplog):
        with caplog.at_level(logging.INFO):
            client = await connect("public/", user=NOBODY, headers=[(b"x-real-ip", b"192.0.2.7")])
            await client.disconnect()
        lines = [record for record in caplog.records if record.name == "tidewire.consumers"]
        assert [record.user for record in lines] == ["anonymous", "anonymous"]

    async def test_whose_session_ends_during_the_handshake_is_not_let_in(self, connect, here):
        """The revocation found no socket to close."""
        await here.feature(SessionFeature).revocations.end_session("1", "key", True)
        client = await connect("hall/", session_hash=session_hash("key"), authentication_started_at=time.monotonic())
        assert closes(await client.sent()) == [CloseCode.REVOKED]
        assert here.connections == set()

    async def test_what_a_refused_client_says_is_ignored(self, connect):
        """A refused client has no connection that could reply."""
        client = await connect("hall/", user=NOBODY)
        await client.sent()
        await client.say('{"type":"ping"}')
        assert await client.sent() == []

    async def test_a_consumer_may_refuse_for_its_own_reasons(self, connect):
        """The close code names the reason."""
        client = await connect("odd/", user=SimpleNamespace(**vars(ADA) | {"get_username": lambda: "forbidden"}))
        assert closes(await client.sent()) == [CloseCode.FORBIDDEN]

    async def test_an_unknown_path_is_closed_with_its_code(self, connect):
        """The socket must not close with a traceback or without a code."""
        before = counted(metrics.CONNECTS, "none", "unknown")
        client = await connect("nowhere/")
        assert closes(await client.sent()) == [4504]
        assert counted(metrics.CONNECTS, "none", "unknown") == before + 1

    async def test_an_error_of_a_consumer_is_not_taken_for_an_unknown_path(self, here):
        """A ValueError from a consumer is a bug of the project, which must be visible."""
        client = Client("odd/", user=SimpleNamespace(**vars(ADA) | {"get_username": lambda: "greedy"}))
        await client.send_input({"type": "websocket.connect"})
        with pytest.raises(ValueError, match="OddConsumer: 100 topics, 16 at most"):
            await client.wait()
        assert here.connections == set(), "and nothing of it is left"

    async def test_one_connection_too_many_is_closed_with_a_reconnect_code(self, connect, here):
        """The limit is per user, and a connection that closes makes room for another."""
        limit = here.settings.CONNECTIONS_PER_USER
        first, *_ = [await connect("talk/") for _ in range(limit)]
        client = await connect("talk/")
        assert closes(await client.sent()) == [CloseCode.TOO_MANY]
        assert not CloseCode.TOO_MANY.final
        other = await connect("talk/", user=SimpleNamespace(**vars(ADA) | {"pk": 2}))
        assert closes(await other.sent()) == []
        await first.disconnect()
        again = await connect("talk/")
        assert closes(await again.sent()) == []

    async def test_anonymous_visitors_have_a_limit_of_their_own(self, connect, here):
        """The 51st visitor of a public page was refused, because all visitors counted as the user `None`."""
        limit = here.settings.CONNECTIONS_PER_USER

        async def codes(**scope: Any) -> list[int]:
            client = await connect("public/", user=NOBODY, **scope)
            return closes(await client.sent(0.01))

        mine = {"client": ("10.0.0.1", 1)}
        for _ in range(limit):
            assert await codes(**mine) == []
        assert await codes(**mine) == [CloseCode.TOO_MANY]
        assert await codes(client=("10.0.0.2", 1)) == []
        assert await codes(headers=[(b"x-real-ip", b"10.0.0.3")], **mine) == []
        assert await codes(session_hash="of a session", **mine) == []
        assert here.users == 4

    async def test_a_stream_socket_resumes_from_where_the_page_stands(self, connect, here):
        """The URL contains the position."""
        for number in (1, 2, 3):
            here.streams.append_now(Said(id=UUID(int=number), text="hello"))
        client = await connect(f"talk/?at=talk:{place(1)}")
        events = await client.events()
        assert events[0] == {"type": "resumed", "topic": "talk", "recovered": True, "at": str(place(1))}
        assert [event["offset"] for event in events[1:]] == [2, 3]

    @pytest.mark.parametrize("query", ["?at=", "?at=rubbish", "?at=%ff", "?at=e1:1", "?at=talk:e1:1&at=talk:e1:2"])
    async def test_a_position_that_cannot_be_read_is_answered_as_missed_events(self, connect, here, query):
        """The client receives the error, and reloads instead of missing an event."""
        for number in (1, 2):
            here.streams.append_now(Said(id=UUID(int=number), text="hello"))
        client = await connect(f"talk/{query}")
        complaint, resumed = await client.events()
        assert (complaint["type"], complaint["code"]) == ("error", "malformed")
        assert resumed == {"type": "resumed", "topic": "talk", "recovered": False, "at": str(place(2))}

    @pytest.mark.parametrize("query", ["", "?other=talk:e1:1"])
    async def test_a_socket_without_a_position_begins_at_the_end(self, connect, here, query):
        for number in (1, 2):
            here.streams.append_now(Said(id=UUID(int=number), text="hello"))
        client = await connect(f"talk/{query}")
        [resumed] = await client.events()
        assert resumed == {"type": "resumed", "topic": "talk", "recovered": True, "at": str(place(2))}

    async def test_each_stream_topic_of_a_socket_resumes_from_its_own_position(self, connect, here):
        """Two topics, two epochs, two offsets."""
        for number in (1, 2, 3):
            here.streams.append_now(Said(id=UUID(int=number), text="talk"))
            here.streams.append_now(Said(id=UUID(int=10 + number), topic="other", text="other"))
        talk, other = place(1), place(2, "e2", first=11)
        client = await connect(f"both/?at=other:{other}&at=talk:{talk}")
        events = await client.events()
        resumed = {event["topic"]: event["at"] for event in events if event["type"] == "resumed"}
        assert resumed == {"talk": str(talk), "other": str(other)}
        messages = [(event["topic"], event["offset"]) for event in events if event["type"] == "test.said"]
        assert sorted(messages) == [("other", 3), ("talk", 2), ("talk", 3)]

    async def test_a_topic_that_a_socket_names_twice_is_delivered_once(self, connect, here):
        """A list of topics from a database may contain duplicates."""
        here.streams.append_now(Said(id=UUID(int=1), text="hello"))
        client = await connect("twice/?at=talk:0:0")
        assert [event["type"] for event in await client.events()] == ["resumed", "test.said"]

    async def test_the_scope_is_cut_to_what_an_open_socket_needs(self, connect, here):
        """Headers and cookies must not be kept for ten thousand sockets."""
        seen: list[dict[str, Any]] = []
        client = Client("talk/")
        client.scope["headers"] = [(b"cookie", b"x" * 1000)]
        original = LiveConsumer.ping

        async def ping(self, message):
            seen.append(self.scope)
            await original(self, message)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LiveConsumer, "ping", ping)
            await client.connect()
            await client.say('{"type":"ping"}')
            await client.sent()
        assert seen
        assert "headers" not in seen[0]
        assert seen[0]["user"] is ADA
        await client.disconnect()


class TestSpeaking:
    async def test_a_ping_is_answered(self, connect):
        """The client's heartbeat, because browsers cannot send WebSocket pings."""
        client = await connect("talk/")
        await client.events()
        await client.say('{"type":"ping"}')
        assert await client.events() == [{"type": "pong"}]

    @pytest.mark.parametrize(
        "text", ["hello", "", "[]", '{"type":"hello"}', '{"type":"ping","x":1}', '{"type":"pong"}']
    )
    async def test_what_cannot_be_understood_is_refused_with_the_reason(self, connect, text):
        """The server replies with an error event and does not close. Clients must not send events of the server."""
        before = counted(metrics.REJECTED, "TalkConsumer", "malformed")
        client = await connect("talk/")
        await client.events()
        await client.say(text)
        [error] = await client.events()
        assert (error["type"], error["code"]) == ("error", "malformed")
        assert error["detail"]
        assert counted(metrics.REJECTED, "TalkConsumer", "malformed") == before + 1
        await client.say('{"type":"ping"}')
        assert await client.events() == [{"type": "pong"}]

    async def test_binary_messages_are_refused(self, connect):
        """The contract allows only text."""
        client = await connect("talk/")
        await client.events()
        await client.send_input({"type": "websocket.receive", "bytes": b'{"type":"ping"}'})
        [error] = await client.events()
        assert (error["code"], error["detail"]) == ("malformed", "binary messages are not understood")

    @pytest.mark.parametrize("message", [{"text": "x" * 5000}, {"text": "€" * 2000}, {"bytes": b"x" * 5000}])
    async def test_a_message_too_large_is_refused_unread(self, connect, here, message):
        """The limit is in bytes, regardless of the characters."""
        client = await connect("talk/")
        await client.events()
        await client.send_input({"type": "websocket.receive"} | message)
        answered, closed = await client.sent()
        error = json.loads(answered["text"])
        assert error["code"] == "too_large"
        assert error["detail"].endswith(f"{here.settings.MAX_MESSAGE_BYTES} at most")
        assert closes([closed]) == [CloseCode.TOO_LARGE]

    async def test_malformed_messages_in_a_row_close_the_socket(self, connect):
        """Several in a row are no accident, so the client should not reconnect."""
        client = await connect("talk/")
        await client.events()
        for _ in range(MALFORMED_LIMIT):
            await client.say("rubbish")
        messages = await client.sent()
        assert [message["type"] for message in messages] == ["websocket.send"] * MALFORMED_LIMIT + ["websocket.close"]
        assert closes(messages) == [CloseCode.MALFORMED]

    async def test_a_good_message_forgives_the_bad_ones_before_it(self, connect):
        """Only consecutive malformed messages count."""
        client = await connect("talk/")
        await client.events()
        for _ in range(3):
            for _ in range(MALFORMED_LIMIT - 1):
                await client.say("rubbish")
            await client.say('{"type":"ping"}')
            assert (await client.events(1.5))[-1] == {"type": "pong"}

    async def test_a_flood_closes_the_socket(self, connect, here):
        """The code lets the client reconnect later. Further messages of the flood are ignored."""
        before = counted(metrics.REJECTED, "TalkConsumer", "flooding")
        client = await connect("talk/")
        await client.events()
        for _ in range(100):
            await client.say('{"type":"ping"}')
        messages = await client.sent()
        assert closes(messages) == [CloseCode.FLOODING]
        assert messages[-1]["type"] == "websocket.close"
        assert json.loads(messages[-2]["text"])["code"] == "flooding"
        assert len(messages) == here.settings.MESSAGES_PER_SECOND + 2
        assert counted(metrics.REJECTED, "TalkConsumer", "flooding") == before + 1

    async def test_a_steady_client_is_no_flood(self, connect, here):
        """The limit is per second."""
        client = await connect("talk/")
        await client.events()
        for _ in range(100):
            await client.say('{"type":"ping"}')
            await asyncio.sleep(1.05 / here.settings.MESSAGES_PER_SECOND)
        assert await client.events() == [{"type": "pong"}] * 100

    async def test_what_is_refused_is_logged_on_one_line(self, connect, caplog):
        """A client cannot add lines to the log."""
        client = await connect("talk/")
        with caplog.at_level(logging.INFO, logger="tidewire.consumers"):
            await client.say(json.dumps({"type": "ping", "x\nERROR all is lost": 1}))
            await client.events()
        [record] = [record for record in caplog.records if "rejected" in record.message]
        assert "\n" not in record.message
        assert "TalkConsumer" in record.message
        assert "malformed" in record.message


class TestLeaving:
    async def test_a_disconnect_leaves_everything(self, connect, here):
        """The topics, presence and the node's set of connections."""
        client = await connect("hall/")
        await client.events()
        [connection] = here.connections
        [subscription] = here.hub._subscriptions[connection]
        before = counted(metrics.CLOSES, "HallConsumer", "1001")
        await client.disconnect(code=1001)
        assert here.connections == set()
        assert here.hub._loops[subscription.topic].feed.subscriptions == {}
        assert counted(metrics.CLOSES, "HallConsumer", "1001") == before + 1
        await asyncio.sleep(here.settings.GRACE_SECONDS + 2)
        [members] = await here.presence_store.members([("hall", "in")], names=-1)
        assert members.names == ()

    async def test_one_of_several_tabs_may_close(self, connect, here):
        """A member stays until its last connection has closed."""
        first, second = await connect("hall/"), await connect("hall/")
        await first.events()
        await first.disconnect()
        await asyncio.sleep(here.settings.GRACE_SECONDS + 2)
        assert [event["names"] for event in await second.events()] == [["ada"]]

    @pytest.mark.parametrize(
        ("end", "code"),
        [
            *((end, end["code"] or 1005) for end in ENDS.values()),
            ({"type": "websocket.disconnect"}, 1005),
            ({"type": "websocket.disconnect", "code": 1005, "reason": None}, 1005),
            ({"type": "websocket.disconnect", "code": 1000, "reason": ""}, 1000),
            ({"type": "websocket.disconnect", "code": 4999, "reason": "a client's own"}, 4999),
        ],
    )
    async def test_a_socket_leaves_everything_however_its_end_is_told(self, connect, here, end, code):
        """Optional fields of ASGI's message may be absent, None or empty; 1005 then represents the missing code."""
        client = await connect("hall/")
        await client.events()
        label = "other" if code in (3000, 4999) else str(code)
        before = counted(metrics.CLOSES, "HallConsumer", label)
        await client.send_input(end)
        await client.wait()
        assert (here.connections, here.users, here.presence.families()) == (set(), 0, {})
        assert counted(metrics.CLOSES, "HallConsumer", label) == before + 1

    async def test_a_handler_that_hangs_holds_up_no_cleanup(self, connect, here):
        """The disconnect is handled while an earlier message is still being handled, which then has a deadline."""
        client = await connect("odd/", user=SimpleNamespace(**vars(ADA) | {"get_username": lambda: "hanging"}))
        await client.say('{"type":"ping"}')
        await asyncio.sleep(0.1)
        await client.send_input(ENDS["close()"])
        await asyncio.sleep(0.1)
        assert here.connections == set()
        assert not client.future.done()
        await client.wait(timeout=60)

    async def test_a_connect_that_hangs_is_closed_with_a_code_that_comes_back(self, here):
        """Otherwise a page would show "Connecting" for as long as the database hangs."""
        client = Client("odd/", user=SimpleNamespace(**vars(ADA) | {"get_username": lambda: "undecided"}))
        accepted, _ = await client.connect(timeout=60)
        assert accepted
        assert closes(await client.sent()) == [CloseCode.FAILED]
        await client.disconnect()

    async def test_a_client_that_answers_no_close_is_left(self, connect, here):
        """Some servers do not end such a socket, and a drain would have to wait for it."""
        client = await connect("talk/")
        await client.events()
        [connection] = here.connections
        connection.close(CloseCode.DRAINING)
        await client.wait(timeout=60)
        assert here.connections == set()

    @pytest.mark.parametrize(
        ("code", "label"), [(1000, "1000"), (1006, "1006"), (4000, "4000"), (4999, "other"), (3000, "other")]
    )
    async def test_codes_are_counted_in_a_closed_set(self, connect, code, label):
        """A client may close with any code, but labels are limited to those of the library and the protocol."""
        before = counted(metrics.CLOSES, "TalkConsumer", label)
        client = await connect("talk/")
        await client.disconnect(code=code)
        assert counted(metrics.CLOSES, "TalkConsumer", label) == before + 1

    async def test_an_application_that_is_cancelled_leaves(self, connect, here):
        """The server has cancelled the application, and the user does not remain a member."""
        client = await connect("hall/")
        await client.events()
        client.future.cancel()
        await asyncio.wait([client.future])
        assert here.connections == set()

    async def test_a_consumer_that_fails_leaves(self, connect, here):
        """The server reports the error, and the process continues."""
        client = await connect("odd/")
        await client.say('{"type":"ping"}')
        with pytest.raises(KeyError, match="a bug"):
            await client.wait()
        assert here.connections == set()

    async def test_a_close_from_this_end_comes_after_what_was_written(self, connect, here):
        """The order is events, the drain's hint, the close, and nothing after it."""
        client = await connect("talk/")
        await client.events()
        [connection] = here.connections
        await say_on_talk(here, 1, "last words")
        await asyncio.sleep(0.1)
        connection.close(CloseCode.REVOKED)
        connection.close(CloseCode.SLOW)
        await asyncio.sleep(0.1)
        await say_on_talk(here, 2, "too late")
        messages = await client.sent()
        assert [message["type"] for message in messages][-1] == "websocket.close"
        assert closes(messages) == [CloseCode.REVOKED]
        assert [json.loads(message["text"]).get("text") for message in messages[:-1]][-1] == "last words"

    async def test_connecting_and_leaving_are_one_line_each(self, connect, caplog):
        """Single messages are not logged."""
        with caplog.at_level(logging.INFO, logger="tidewire.consumers"):
            client = await connect("talk/")
            await client.say('{"type":"ping"}')
            await client.events(2.0)
            await client.disconnect(code=1001)
        connected, closed = [record for record in caplog.records if record.name == "tidewire.consumers"]
        assert (connected.message, connected.consumer, connected.user) == ("connected", "TalkConsumer", "1")
        assert (closed.message, closed.consumer, closed.user) == ("closed", "TalkConsumer", "1")
        assert (closed.code, closed.reason, closed.seconds) == (1001, "client", 2.0)
        assert (closed.received, closed.positions) == (1, {"talk": 0})


class TestDelivery:
    async def test_it_works_over_plain_send(self, connect, here):
        """Without a server's writer, events are sent with ASGI's `send`, to every socket and in order."""
        clients = [await connect("talk/") for _ in range(3)]
        for client in clients:
            await client.events()
        for number in range(1, 21):
            await say_on_talk(here, number, f"word {number}")
        for client in clients:
            assert [event.get("offset") for event in await client.events()][-20:] == list(range(1, 21))

    async def test_a_server_s_writer_is_used_where_it_is_offered(self, connect, here):
        """Events are sent with the writer instead of `send`."""
        writer = FakeWriter()
        client = await connect("talk/", extensions={"tidewire.writer": writer})
        assert await client.events() == []
        assert json.loads(writer.frames[0].text)["type"] == "resumed"

    async def test_an_open_socket_has_no_task_of_its_own_but_the_application_s(self, connect, here):
        """Stock Channels has one more task per connection, which waits for the channel layer."""

        async def lasting() -> int:
            # A check of the hub briefly has a task.
            counts = []
            for _ in range(20):
                await asyncio.sleep(0.07)
                counts.append(len(asyncio.all_tasks()))
            return min(counts)

        await connect("talk/")
        await asyncio.sleep(1)
        before = await lasting()
        for _ in range(5):
            await connect("talk/")
        await asyncio.sleep(1)
        assert await lasting() == before + 5


def test_the_consumer_names_no_layer_that_exists():
    """A layer that exists would give each connection a channel and a task."""
    from django.conf import settings  # noqa: PLC0415

    assert consumers.LiveConsumer.channel_layer_alias not in settings.CHANNEL_LAYERS
