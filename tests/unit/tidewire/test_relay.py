"""The relay: for ever, more and more patiently while Redis or the database is away, until it is told to stop."""

import logging
import signal
import threading

import pytest
from django.core.management import call_command
from django.db import InterfaceError, OperationalError

from tidewire.exceptions import NoRedis
from tidewire.management.commands import relay

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(monkeypatch):
    """Runs the relay over these answers of the outbox, then stops it with a signal; returns how long it waited."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(*answers: int | Exception, number: int = signal.SIGTERM) -> list[float]:
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
        call_command("relay")
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
