"""Two stream topics on one socket: each must resume from its own position, on the real server with a real Redis."""

import asyncio
import itertools
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from channels.layers import get_channel_layer
from websockets.exceptions import ConnectionClosed

from tests.integration.tidewire.conftest import _server, redis, redis_server  # noqa: F401  # fixtures
from tests.reports.rooms.rooms_server import RoomsServer
from tests.unit.tidewire.fakes import Said
from tidewire import conf
from tidewire.close_codes import CloseCode
from tidewire.publishing.direct import publish_now
from tidewire.streams.redis import stream_store

pytestmark = pytest.mark.integration
TOPICS = ("talk", "news")
WAIT_SECONDS = 15.0


@pytest.fixture
def server(redis_server, tmp_path):  # noqa: F811  # the fixture
    with RoomsServer(redis_server.url, tmp_path / "server.log") as running:
        yield running


class Publisher:
    """Publishes numbered events; `said` has those that a topic's subscribers must receive."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.published: dict[str, list[int]] = {topic: [] for topic in TOPICS}

    async def say(self, topic: str, count: int = 1) -> None:
        for number in itertools.islice(self._numbers, count):
            event = Said(id=UUID(int=number), topic=topic, text=str(number))
            await publish_now(event, streams=stream_store(), layer=get_channel_layer(), prefix=conf.settings().PREFIX)
            self.published[topic].append(number)


@pytest.fixture
async def publisher(server, redis):  # noqa: F811  # the fixture
    yield Publisher()
    await get_channel_layer().flush()


class Reader:
    """A client of the wire protocol: it sends one position per topic in the query of each socket."""

    def __init__(self, server: RoomsServer) -> None:
        self.server = server
        self.at: dict[str, str] = {}
        self.seen: dict[str, list[int]] = {topic: [] for topic in TOPICS}
        self.resumed: list[tuple[str, bool]] = []
        self.errors: list[dict[str, Any]] = []

    def connect(self, query: str | None = None) -> Any:
        query = urlencode([("at", f"{topic}:{at}") for topic, at in self.at.items()]) if query is None else query
        return self.server.connect(f"/streams/{','.join(TOPICS)}/?{query}")

    async def read(self, socket: Any, until: Callable[[], bool]) -> None:
        """Receive events until a condition is true, and then those that arrive before the reply to a ping."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not until():
                self._take(json.loads(await socket.recv()))
            await socket.send('{"type":"ping"}')
            while (event := json.loads(await socket.recv()))["type"] != "pong":
                self._take(event)

    def has_resumed(self) -> bool:
        """Return whether every topic has sent its position."""
        return {topic for topic, _recovered in self.resumed} == set(TOPICS)

    async def read_until_closed(self, socket: Any) -> int:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    self._take(json.loads(await socket.recv()))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "resumed":
            self.at[event["topic"]] = event["at"]
            self.resumed.append((event["topic"], event["recovered"]))
        elif event["type"] == "error":
            self.errors.append(event)
        elif event["type"] == "test.said":
            epoch = re.split("[.:]", self.at[event["topic"]])[0]
            self.at[event["topic"]] = f"{epoch}.{event['mark']}:{event['offset']}"
            self.seen[event["topic"]].append(int(event["text"]))


@pytest.fixture
async def reader(server, publisher):
    """A client without a socket that has received 5 events of one topic and 2 of the other."""
    client = Reader(server)
    await publisher.say("talk", 5)
    await publisher.say("news", 2)
    async with client.connect("at=talk:0:0&at=news:0:0") as socket:
        await client.read(socket, lambda: client.seen == publisher.published)
    client.resumed.clear()
    return client


async def test_both_topics_resume_where_the_client_was(reader, publisher):
    """After my phone was in a tunnel, the chat is complete, but the news of that time is missing."""
    await publisher.say("talk", 3)
    await publisher.say("news", 4)
    async with reader.connect() as socket:
        await reader.read(socket, lambda: reader.seen == publisher.published)
        await publisher.say("talk")
        await publisher.say("news")
        await reader.read(socket, lambda: reader.seen == publisher.published)
    assert dict(reader.resumed) == {"talk": True, "news": True}
    assert reader.seen == publisher.published
    assert not reader.errors


async def test_a_new_epoch_of_one_topic_costs_the_other_nothing(reader, publisher, redis_server):  # noqa: F811
    """The chat was restored from a backup, and since then I miss news, although its topic was not touched."""
    prefix = conf.settings().PREFIX
    redis_server.client.delete(*(f"{prefix}:{kind}:talk" for kind in ("stream", "position", "seen")))
    await publisher.say("talk", 2)
    await publisher.say("news", 2)
    async with reader.connect() as socket:
        # A node that has not yet received the new epoch may report it a moment later.
        await reader.read(socket, lambda: reader.has_resumed() and ("talk", False) in reader.resumed)
        await publisher.say("news")
        await reader.read(socket, lambda: reader.seen["news"] == publisher.published["news"])
    assert ("news", False) not in reader.resumed
    assert reader.seen["news"] == publisher.published["news"]


async def test_a_lost_history_of_one_topic_costs_the_other_nothing(reader, publisher, redis_server):  # noqa: F811
    """The history of one topic had expired, and the other topic lost events too."""
    await publisher.say("talk", 2)
    await publisher.say("news", 2)
    redis_server.client.delete(f"{conf.settings().PREFIX}:stream:news")
    # A node with the events in memory would serve them from there.
    reader.server.stop()
    reader.server.start()
    async with reader.connect() as socket:
        await reader.read(socket, reader.has_resumed)
        await reader.read(socket, lambda: reader.seen["talk"] == publisher.published["talk"])
    assert sorted(reader.resumed) == [("news", False), ("talk", True)]


async def test_a_drain_between_events_loses_none_of_either_topic(reader, publisher):
    """During every deploy some users missed the messages of the second channel."""
    async with reader.connect() as socket:
        await reader.read(socket, reader.has_resumed)
        stopping = asyncio.get_running_loop().run_in_executor(None, reader.server.stop)
        code = await reader.read_until_closed(socket)
    assert code == CloseCode.DRAINING
    assert await stopping == 0
    await publisher.say("news", 3)
    await publisher.say("talk", 1)
    reader.server.start()
    async with reader.connect() as socket:
        await reader.read(socket, lambda: reader.seen == publisher.published)
    assert all(recovered for _topic, recovered in reader.resumed)


@pytest.mark.parametrize("query", ["at={talk}", "at=rubbish", "at=", "at=talk&at=news", "at={talk}&at=news:{news}"])
async def test_a_position_without_its_topic_is_an_error_and_no_loss(reader, publisher, query):
    """An old tab from before the update showed no error, and missed messages."""
    await publisher.say("talk", 1)
    await publisher.say("news", 1)
    query = query.format(**reader.at)
    async with reader.connect(query) as socket:
        await reader.read(socket, reader.has_resumed)
    assert {error["code"] for error in reader.errors} == {"malformed"}
    expected = {"talk": False, "news": "news:" in query}
    assert dict(reader.resumed) == expected
