"""An outage of Redis is detected by one request, and remembered for all requests of the process."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tidewire import outage
from tidewire.outage import Outage


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    """A Redis that has just failed."""
    made = Outage(clock=clock)
    made.begin()
    return made


def test_a_redis_that_is_well_may_be_asked_by_all():
    made = Outage()
    assert all(made.may_ask() for _ in range(3))


def test_nobody_asks_for_two_seconds_and_then_one(breaker, clock):
    """Other requests must not wait for the one that tries. After two more seconds, one more request may try."""
    assert not breaker.may_ask()
    for _ in range(3):
        clock.now += outage.SECONDS - 0.1
        assert not breaker.may_ask()
        clock.now += 0.1
        assert [breaker.may_ask() for _ in range(3)] == [True, False, False]


def test_an_answer_ends_it(breaker, clock):
    clock.now += outage.SECONDS
    assert breaker.may_ask()
    breaker.end()
    assert all(breaker.may_ask() for _ in range(3))


def test_of_many_threads_one_asks(breaker, clock):
    clock.now += outage.SECONDS
    together = threading.Barrier(16)

    def ask(_thread: int) -> bool:
        together.wait(timeout=10)
        return breaker.may_ask()

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(ask, range(16))) == 1
