"""The relay: for ever, more and more patiently while Redis or the database is away, until it is told to stop."""

import logging
import signal
import threading
from collections.abc import Sequence

import pytest
from django.core.management import CommandError, call_command
from django.db import InterfaceError, OperationalError

from tidewire import metrics
from tidewire.exceptions import NoRedis
from tidewire.management.commands import relay

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listened(monkeypatch):
    """The addresses that the relay serves its metrics on."""
    addresses = []
    monkeypatch.setattr(relay.relay_metrics, "listen", lambda *address: addresses.append(address))
    return addresses


@pytest.fixture
def run(monkeypatch):
    """Runs the relay over these answers of the outbox, then stops it with a signal; returns how long it waited."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(*answers: int | Exception, number: int = signal.SIGTERM, arguments: Sequence[str] = ()) -> list[float]:
        waits: list[float] = []
        left = list(answers)

        class Stop(threading.Event):
            """Waits for nothing, and keeps account of it."""

            def wait(self, timeout: float | None = None) -> bool:
                assert timeout is not None
                waits.append(timeout)
                return self.is_set()

        def publish() -> int:
            answer = left.pop(0)
            if not left:
                signal.raise_signal(number)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(relay.threading, "Event", Stop)
        monkeypatch.setattr(relay.outbox, "relay", publish)
        call_command("relay", *arguments)
        return waits

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it(run, number):
    """After what it was doing."""
    assert len(run(1, 0, 3, number=number)) == 4


def test_it_asks_less_and_less_often_while_redis_is_away(run):
    """Up to a bound, and at its usual pace once it could publish again."""
    waits = run(*[NoRedis("away")] * 7, 0, 0)
    assert waits == [0.5, 1, 2, 4, 8, 10, 10, 10, 0.5, 0.5]


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("connection already closed")])
def test_it_outlives_a_database_that_is_away(run, error):
    """A restart of PostgreSQL is no end of the relay."""
    assert run(error, 0)[1] == 1.0


def test_what_it_published_is_logged_and_nothing_else(run, caplog):
    """Two lines a second would fill the log of a quiet day."""
    with caplog.at_level(logging.INFO):
        run(0, 3, 0)
    assert [record.message for record in caplog.records if record.name == relay.__name__] == [
        "relay started",
        "relay published 3 events",
        "relay stopped",
    ]


def test_it_serves_its_metrics_where_it_is_told_to(run, listened):
    """Nowhere by itself."""
    run(0)
    assert listened == []
    run(0, arguments=["--metrics=127.0.0.1:8400"])
    run(0, arguments=["--metrics", "[::1]:8401"])
    assert listened == [("127.0.0.1", 8400), ("::1", 8401)]


@pytest.mark.parametrize("odd", ["8400", ":8400", "localhost:", "localhost:http"])
def test_an_odd_address_stops_the_start(run, odd):
    """And is named."""
    with pytest.raises(CommandError, match=f"host:port is wanted, not '{odd}'"):
        run(0, arguments=[f"--metrics={odd}"])


def test_a_look_that_fails_is_counted_by_what_was_away(run):
    """And is no look: the time since the last good one tells how long this has lasted."""
    before = {each: metrics.RELAY_FAILURES.labels(each)._value.get() for each in metrics.RELAY_FAILURE_REASONS}
    run(NoRedis("away"), NoRedis("away"), OperationalError("gone"), 0)
    after = {each: metrics.RELAY_FAILURES.labels(each)._value.get() - before[each] for each in before}
    assert after == {"redis": 2, "database": 1}


def test_the_time_of_the_last_good_look_is_told(run, monkeypatch):
    """Of the start, before the first; known before anybody can ask."""
    done = []
    monkeypatch.setattr(metrics.RELAY_LOOKED_SECONDS, "set_to_current_time", lambda: done.append("told"))
    monkeypatch.setattr(relay.relay_metrics, "listen", lambda *_address: done.append("listens"))
    run(0, NoRedis("away"), 0, arguments=["--metrics=127.0.0.1:8400"])
    assert done == ["told", "listens", "told", "told"]
