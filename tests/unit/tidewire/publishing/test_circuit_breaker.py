"""An outage of Redis is detected by one request, and remembered for all requests of the process."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tidewire.publishing import circuit_breaker
from tidewire.publishing.circuit_breaker import CircuitBreaker


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
    made = CircuitBreaker(clock=clock)
    made.record_failure()
    return made


def test_a_redis_that_is_well_may_be_asked_by_all():
    made = CircuitBreaker()
    assert all(made.allow() for _ in range(3))


def test_nobody_asks_for_two_seconds_and_then_one(breaker, clock):
    """Other requests must not wait for the one that tries. After two more seconds, one more request may try."""
    assert not breaker.allow()
    for _ in range(3):
        clock.now += circuit_breaker.PAUSE_SECONDS - 0.1
        assert not breaker.allow()
        clock.now += 0.1
        assert [breaker.allow() for _ in range(3)] == [True, False, False]


def test_an_answer_ends_it(breaker, clock):
    clock.now += circuit_breaker.PAUSE_SECONDS
    assert breaker.allow()
    breaker.record_success()
    assert all(breaker.allow() for _ in range(3))


def test_of_many_threads_one_asks(breaker, clock):
    clock.now += circuit_breaker.PAUSE_SECONDS
    together = threading.Barrier(16)

    def ask(_thread: int) -> bool:
        together.wait(timeout=10)
        return breaker.allow()

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(ask, range(16))) == 1


def test_it_is_open_until_the_next_success(breaker, clock):
    """One caller may try meanwhile; that alone closes nothing."""
    clock.now += 10
    assert breaker.allow()
    assert breaker.is_open
    breaker.record_success()
    assert not breaker.is_open
