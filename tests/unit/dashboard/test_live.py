"""Values of Redis on pages: while Redis is unavailable, pages show none and do not wait for it."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

from dashboard import live
from tidewire.exceptions import RedisUnavailable
from tidewire.publishing import circuit_breaker
from tidewire.publishing.circuit_breaker import CircuitBreaker
from tidewire.publishing.publisher import PublisherThread


class Store:
    """Presence in a Redis that may be unavailable."""

    def __init__(self) -> None:
        self.unavailable = False
        self.asked = 0

    async def members(self, *_arguments, **_options):
        self.asked += 1
        if self.unavailable:
            raise RedisUnavailable("no answer within 0.5 s")
        return [SimpleNamespace(names=("ada",))]


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
    monkeypatch.setattr(live, "presence_store", lambda: fake_store)
    monkeypatch.setattr(live, "background", lambda: SimpleNamespace(run=lambda work, **_: asyncio.run(work)))
    return fake_store


def test_a_redis_that_is_away_is_asked_once_in_two_seconds(store, clock, caplog):
    """A page reads three times. It may wait for the first of them; the next pages must not wait at all."""
    store.unavailable = True
    with caplog.at_level(logging.WARNING):
        assert [live.everyone() for _ in range(10)] == [None] * 10
    assert store.asked == 1
    assert len(caplog.records) == 1
    clock.now += circuit_breaker.PAUSE_SECONDS
    assert [live.everyone() for _ in range(10)] == [None] * 10
    assert store.asked == 2


def test_a_redis_that_is_back_is_read_again(store, clock):
    store.unavailable = True
    live.everyone()
    store.unavailable = False
    clock.now += circuit_breaker.PAUSE_SECONDS
    assert [live.everyone() for _ in range(3)] == [["ada"]] * 3


def test_pages_need_not_find_out_what_the_publisher_found_out(store, monkeypatch):
    """A process should wait only once for a Redis that is unavailable."""
    thread = PublisherThread()

    def unavailable() -> bool:
        thread._stopping.set()
        raise RedisUnavailable("no answer within 1 s")

    monkeypatch.setattr(thread._publisher, "publish", unavailable)
    thread._publish()
    assert live.everyone() is None
    assert store.asked == 0
