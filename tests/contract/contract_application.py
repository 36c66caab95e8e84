"""An ASGI application for any server: it records each received message, and has consumers with every kind of fault.

`/record/NAME/` is plain ASGI, `/bad/NAME/` a live consumer, `/token/` one for bearer tokens, `/block/` one that blocks
the process, and `/state` returns the state of the process.
"""

import asyncio
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import django
from django.conf import settings

# Invalid settings for tests of the start.
LAYERS: dict[str, dict[str, Any]] = {
    "": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    "none": {},
    "backend": {"default": {"BACKEND": "no.such.Layer"}},
    "options": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"unknown_option": 1}}},
}
settings.configure(
    SECRET_KEY="of a test",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    CHANNEL_LAYERS=LAYERS[os.environ.get("CONTRACT_LAYERS", "")],
    # No server listens there: presence and streams are in memory.
    TIDEWIRE={
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "CONNECTIONS_PER_USER": 1000,
        "TOUCH_SECONDS": 0.2,
        "MAX_BACKLOG_BYTES": 65536,
        "SLOW_CONSUMER_SECONDS": 0.3,
        "ADMIN_HOST": os.environ.get("CONTRACT_ADMIN_HOST", "127.0.0.1"),
        "ADMIN_PORT": int(os.environ.get("CONTRACT_ADMIN_PORT", "0")),
    }
    | json.loads(os.environ.get("CONTRACT_SETTINGS", "{}")),
)
django.setup()

from channels.exceptions import StopConsumer  # noqa: E402 - Django has to be set up first
from django.contrib.auth.models import AnonymousUser  # noqa: E402

from tests.unit.tidewire.fakes import Hall  # noqa: E402
from tidewire import metrics, versions  # noqa: E402
from tidewire.auth.bearer import BearerAuth, InvalidToken  # noqa: E402
from tidewire.auth.feature import SessionFeature  # noqa: E402
from tidewire.close_codes import CloseCode  # noqa: E402
from tidewire.conf import Settings  # noqa: E402
from tidewire.consumers import LiveConsumer  # noqa: E402
from tidewire.contrib.edit_lease.consumer import LeaseConsumer  # noqa: E402
from tidewire.contrib.edit_lease.feature import EditLeaseFeature  # noqa: E402
from tidewire.events import Ping  # noqa: E402
from tidewire.fanout import send_writer  # noqa: E402
from tidewire.fanout.frames import frame  # noqa: E402
from tidewire.layers import require_layer  # noqa: E402
from tidewire.presence import PresenceKey  # noqa: E402
from tidewire.server import consumer_loop, current_node, inbox  # noqa: E402
from tidewire.server.current_node import node  # noqa: E402
from tidewire.server.node import Node  # noqa: E402
from tidewire.testing import MemoryEditLeases, MemoryPresence, MemoryStreams  # noqa: E402
from tidewire.topics import Topic  # noqa: E402

PRESENCE = MemoryPresence(lease_seconds=10.0, grace_seconds=0.2, indexes={})
LEASES = MemoryEditLeases(lease_seconds=20.0, answer_seconds=30.0, grace_seconds=0.2, changed=PRESENCE.bump)
STREAMS = MemoryStreams()


def create_node(options: Settings) -> Node:
    return Node(
        options,
        layer=require_layer(options.CHANNEL_LAYER),
        presence_store=PRESENCE,
        streams=STREAMS,
        features=[SessionFeature, lambda node: EditLeaseFeature(node, store=LEASES)],
    )


current_node.create_node = create_node

if "CONTRACT_START_FAILS" in os.environ:
    import tidewire.server.daphne

    def no_drainer(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("no drainer")

    tidewire.server.daphne.Drainer = no_drainer  # type: ignore[assignment,misc]

if "CONTRACT_OLDEST_REDIS" in os.environ:
    versions.REDIS_SERVER = os.environ["CONTRACT_OLDEST_REDIS"]

# Shorter versions of the product's own timeouts.
consumer_loop.CONNECT_SECONDS = consumer_loop.DISCONNECT_TIMEOUT_SECONDS = inbox.DISCONNECT_TIMEOUT_SECONDS = 1.0
send_writer.CLOSE_SECONDS = 1.0

ADA = SimpleNamespace(pk=1, is_authenticated=True, get_username=lambda: "ada")


class Good(LiveConsumer):
    """A consumer without faults."""

    def topics(self) -> Sequence[Topic]:
        return (Hall("hall"),)

    def presence(self) -> Sequence[PresenceKey]:
        return (PresenceKey("hall", "in", "ada"),)


class Editor(LeaseConsumer, Good):
    def edits(self) -> str:
        return "lease.page"

    def topics(self) -> Sequence[Topic]:
        return (*Good.topics(self), *super().topics())


class DisconnectRaises(Good):
    async def disconnect(self, code: int) -> None:
        raise ConnectionError("the database is unavailable, so there is no 'last seen'")


class DisconnectIsCancelled(Good):
    async def disconnect(self, code: int) -> None:
        raise asyncio.CancelledError


class DisconnectHangs(Good):
    async def disconnect(self, code: int) -> None:
        await asyncio.Event().wait()


class SecondTopicFails(Good):
    def topics(self) -> Sequence[Topic]:
        return (Hall("hall"), "no topic")  # type: ignore[return-value]


class PresenceFails(Good):
    def presence(self) -> Any:
        def keys() -> Iterator[PresenceKey]:
            yield PresenceKey("hall", "in", "ada")
            raise KeyError("the second")

        return keys()


class EditsFails(Editor):
    def edits(self) -> str:
        if hasattr(self, "connection"):
            raise KeyError("no name")
        return super().edits()


class ConnectFails(Good):
    async def connect(self) -> None:
        await super().connect()
        raise KeyError("after all of it")


class ConnectHangs(Good):
    async def connect(self) -> None:
        await super().connect()
        await asyncio.Event().wait()


class ReceiveFails(Good):
    async def ping(self, _message: Ping) -> None:
        raise KeyError("a bug")


class ReceiveHangs(Good):
    async def ping(self, _message: Ping) -> None:
        await asyncio.Event().wait()


class ReceiveStops(Good):
    async def ping(self, _message: Ping) -> None:
        raise StopConsumer


class Talks(Good):
    """Sends more than any buffer can take."""

    async def ping(self, _message: Ping) -> None:
        for _ in range(200):
            # Random data, because uvicorn compresses.
            self.connection.write(frame(os.urandom(50_000).hex()))


class CloseFails(Good):
    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        raise KeyError("a bug")

    async def ping(self, _message: Ping) -> None:
        self.connection.close(CloseCode.REVOKED)


class CountFails(Good):
    def _count_close(self, code: int) -> None:
        raise ValueError("no such label")


class LogFails(Good):
    def _log_fields(self) -> dict[str, Any]:
        if self.connection.code is not None:
            raise ValueError("no such field")
        return super()._log_fields()


class ReleaseFails(Good):
    async def connect(self) -> None:
        await super().connect()
        self.connection.add_cleanup([].remove, "a step of the cleanup that fails")


BAD = {kind.__name__: kind for kind in (*Good.__subclasses__(), Good, EditsFails)}


class Blocks(Good):
    """Blocks the event loop, as a synchronous call to a server that hangs does."""

    async def ping(self, _message: Ping) -> None:
        time.sleep(600)  # noqa: ASYNC251 - this is the fault


async def read_token(token: str) -> Any:
    if token == "expired":
        return None
    if token != "good":
        raise InvalidToken("not issued here")
    return ADA


WITH_TOKEN = BearerAuth(Good.as_asgi(), authenticate=read_token)
recorded: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
server: Any = None


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    global server  # noqa: PLW0603 - the server that runs this application
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "http":
        body = json.dumps(state(), default=repr).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
        return
    kind, _, name = scope["path"].strip("/").partition("/")
    writer = (scope.get("extensions") or {}).get("tidewire.writer")
    server = server or getattr(writer, "server", None)
    if kind == "token":
        await WITH_TOKEN(scope | {"user": AnonymousUser()}, receive, send)
    elif kind == "record":
        recorded[name].append({field: scope.get(field, "absent") for field in ("query_string", "subprotocols")})
        await record(recorded[name], receive, send)
    elif kind == "block":
        await Blocks.as_asgi()(scope | {"user": ADA}, receive, send)
    else:
        await BAD[name].as_asgi()(scope | {"user": ADA}, receive, send)


async def record(messages: list[dict[str, Any]], receive: Any, send: Any) -> None:
    messages.append(await receive())
    await send({"type": "websocket.accept"})
    while True:
        messages.append(await receive())
        if messages[-1]["type"] == "websocket.disconnect":
            return
        if messages[-1].get("text") == "close me":
            await send({"type": "websocket.close", "code": 4000, "reason": "asked"})
        if messages[-1].get("text") == "close me later":
            await asyncio.sleep(0.5)
            await send({"type": "websocket.close", "code": 4000, "reason": "asked"})


def state() -> dict[str, Any]:
    here = node()
    return {
        "connections": len(here.connections),
        "users": here.users,
        "full": len(here.slow_consumers),
        "present": sum(here.presence._counts.values()),
        "editors": sum(here.feature(EditLeaseFeature).editors._sockets.values()),
        "gauge": sum(sample.value for metric in metrics.CONNECTIONS.collect() for sample in metric.samples),
        "subscriptions": sum(
            len(loop.feed.subscriptions) for name, loop in here.hub._loops.items() if name != "revocations"
        ),
        "handshakes": len(server._inbound_limits.waiting) if server is not None else 0,
        "closes": {
            sample.labels["code"]: sample.value
            for metric in metrics.CLOSES.collect()
            for sample in metric.samples
            if sample.name.endswith("_total") and sample.labels["consumer"] == "Talks" and sample.value
        },
        "recorded": recorded,
        "kinds": sorted(BAD),
        "loop": type(asyncio.get_running_loop()).__module__,
    }
