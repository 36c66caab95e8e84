"""Values of Redis on pages: while Redis is unavailable, pages show none and do not wait for it."""

import asyncio
import logging
from types import SimpleNamespace
from uuid import UUID

import pytest

from tests.unit.tidewire.fakes import Said
from tidewire import pages, substitutes
from tidewire.exceptions import RedisUnavailable
from tidewire.presence import Members
from tidewire.publishing import circuit_breaker
from tidewire.publishing.circuit_breaker import CircuitBreaker
from tidewire.publishing.publisher import PublisherThread
from tidewire.testing import MemoryStreams
from tidewire.topics import StreamTopic


class Store:
    """Presence in a Redis that may be unavailable."""

    def __init__(self) -> None:
        self.unavailable = False
        self.asked = 0

    async def members(self, *_arguments, **_options):
        self.asked += 1
        if self.unavailable:
            raise RedisUnavailable("no answer within 0.5 s")
        return [Members(1, ("ada",))]


def read():
    return pages.members("users", "online")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    fake_clock = Clock()
    monkeypatch.setattr(circuit_breaker, "READS", CircuitBreaker(clock=fake_clock))
    return fake_clock


@pytest.fixture
def store(monkeypatch, clock):
    fake_store = Store()
    monkeypatch.setattr(pages, "presence_store", lambda: fake_store)
    monkeypatch.setattr(pages, "background", lambda: SimpleNamespace(run=lambda work, **_: asyncio.run(work)))
    return fake_store


def test_a_redis_that_is_away_is_asked_once_in_two_seconds(store, clock, caplog):
    """A page reads three times. It may wait for the first of them; the next pages must not wait at all."""
    store.unavailable = True
    with caplog.at_level(logging.WARNING):
        assert [read() for _ in range(10)] == [None] * 10
    assert store.asked == 1
    assert len(caplog.records) == 1
    clock.now += circuit_breaker.PAUSE_SECONDS
    assert [read() for _ in range(10)] == [None] * 10
    assert store.asked == 2


def test_a_redis_that_is_back_is_read_again(store, clock):
    store.unavailable = True
    read()
    store.unavailable = False
    clock.now += circuit_breaker.PAUSE_SECONDS
    assert [read() for _ in range(3)] == [Members(1, ("ada",))] * 3


def test_pages_need_not_find_out_what_the_publisher_found_out(store, monkeypatch):
    """A process should wait only once for a Redis that is unavailable."""
    thread = PublisherThread()

    def unavailable() -> bool:
        thread._stopping.set()
        raise RedisUnavailable("no answer within 1 s")

    monkeypatch.setattr(thread._publisher, "publish", unavailable)
    thread._publish()
    assert read() is None
    assert store.asked == 0


def test_a_page_gets_the_position_of_a_topic(clock):
    """From it the page's socket resumes: the events before it are in the page already."""
    streams = MemoryStreams()
    substitutes.use({"streams": streams})
    try:
        before = pages.position("talk")
        streams.append_now(Said(id=UUID(int=1), text="hello"))
        assert pages.position("talk") == pages.position(StreamTopic("talk")) == str(streams.end("talk"))
        assert before != pages.position("talk")
        streams.unavailable = True
        assert pages.position("talk") is None
    finally:
        substitutes.use({})
