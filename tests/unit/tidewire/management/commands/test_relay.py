"""The relay runs until it receives a signal, and waits longer between attempts while Redis or the database is down."""

import logging
import signal
import threading
from collections.abc import Sequence
from datetime import timedelta
from unittest.mock import Mock
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import InterfaceError, OperationalError
from django.db.models.functions import Now

from tests.unit.tidewire.fakes import Said
from tidewire import label_values, metrics
from tidewire.exceptions import RedisUnavailable
from tidewire.management.commands import relay
from tidewire.models import OutboxEvent, PublisherTurn

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listened(monkeypatch):
    """The addresses on which the relay serves its metrics."""
    addresses = []
    monkeypatch.setattr(relay.relay_metrics, "listen", lambda *address: addresses.append(address))
    return addresses


@pytest.fixture
def run(monkeypatch):
    """Run the relay with these results of the outbox, then stop it with a signal. Returns the waiting times."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(*answers: int | Exception, number: int = signal.SIGTERM, arguments: Sequence[str] = ()) -> list[float]:
        waits: list[float] = []
        remaining = list(answers)

        class Stop(threading.Event):
            """Does not wait, but records the timeouts."""

            def wait(self, timeout: float | None = None) -> bool:
                assert timeout is not None
                waits.append(timeout)
                return self.is_set()

        def publish() -> int:
            answer = remaining.pop(0)
            if not remaining:
                signal.raise_signal(number)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(relay.threading, "Event", Stop)
        monkeypatch.setattr(relay.Relay, "poll", lambda _self: publish())
        call_command("relay", *arguments)
        return waits

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it(run, number):
    """The relay stops after its current work."""
    assert len(run(1, 0, 3, number=number)) == 4


def test_it_asks_less_and_less_often_while_redis_is_away(run):
    """The interval has an upper limit, and returns to its usual value after a success."""
    waits = run(*[RedisUnavailable("unavailable")] * 7, 0, 0)
    assert waits == [0.5, 1, 2, 4, 8, 10, 10, 10, 0.5, 0.5]


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("connection already closed")])
def test_it_outlives_a_database_that_is_away(run, error):
    """A restart of PostgreSQL must not end the relay."""
    assert run(error, 0)[1] == 1.0


def test_what_it_published_is_logged_and_nothing_else(run, caplog):
    """Two lines a second would fill the log on a quiet day."""
    with caplog.at_level(logging.INFO):
        run(0, 3, 0)
    assert [record.message for record in caplog.records if record.name == relay.__name__] == [
        "relay started",
        "relay published 3 events",
        "relay stopped",
    ]


def test_it_serves_its_metrics_where_it_is_told_to(run, listened):
    """By default the relay has no port."""
    run(0)
    assert listened == []
    run(0, arguments=["--metrics=127.0.0.1:8400"])
    run(0, arguments=["--metrics", "[::1]:8401"])
    assert listened == [("127.0.0.1", 8400), ("::1", 8401)]


@pytest.mark.parametrize("odd", ["8400", ":8400", "localhost:", "localhost:http"])
def test_an_odd_address_stops_the_start(run, odd):
    """The message names the address."""
    with pytest.raises(CommandError, match=f"host:port is wanted, not '{odd}'"):
        run(0, arguments=[f"--metrics={odd}"])


@pytest.mark.parametrize("error", [OSError(98, "Address already in use"), OverflowError("port must be 0-65535.")])
def test_an_address_that_cannot_be_had_stops_the_start(run, monkeypatch, error):
    """The error must be one line; it was a traceback of thirty."""
    monkeypatch.setattr(relay.relay_metrics, "listen", Mock(side_effect=error))
    with pytest.raises(CommandError, match=r"did not start: --metrics 127.0.0.1:8400 cannot be had: .*(use|65535)"):
        run(0, arguments=["--metrics=127.0.0.1:8400"])


def test_a_look_that_fails_is_counted_by_what_was_away(run):
    """A failed check must not count, so that the time since the last success shows how long the failure lasts."""
    before = {each: metrics.RELAY_FAILURES.labels(each)._value.get() for each in label_values.RELAY_FAILURE_REASONS}
    run(
        RedisUnavailable("unavailable"),
        RedisUnavailable("unavailable"),
        OperationalError("gone"),
        relay.NoProgress("held"),
        0,
    )
    after = {each: metrics.RELAY_FAILURES.labels(each)._value.get() - before[each] for each in before}
    assert after == {"redis": 2, "database": 1, "publisher": 1}


def test_the_time_of_the_last_good_look_is_told(run, monkeypatch):
    """The time of the start counts until the first success, and is set before the port is open."""
    done = []
    monkeypatch.setattr(metrics.RELAY_LAST_POLL_SECONDS, "set_to_current_time", lambda: done.append("told"))
    monkeypatch.setattr(relay.relay_metrics, "listen", lambda *_address: done.append("listens"))
    run(0, RedisUnavailable("unavailable"), 0, arguments=["--metrics=127.0.0.1:8400"])
    assert done == ["told", "listens", "told", "told"]


def test_another_publisher_without_progress_is_no_success(run):
    """The relay must keep its pace, so that it publishes as soon as it can."""
    assert run(*[relay.NoProgress("event 7 has waited for 12 s")] * 3, 0) == [0.5] * 5


class TestPoll:
    """The work of the relay at each check."""

    @pytest.fixture
    def polled(self, monkeypatch):
        new_relay = relay.Relay()
        new_relay.clock = 0.0
        monkeypatch.setattr(relay.time, "monotonic", lambda: new_relay.clock)
        new_relay._since = new_relay._pruned = 0.0
        return new_relay

    @staticmethod
    def leave(seconds: float) -> None:
        OutboxEvent.objects.all().delete()
        body = Said(id=UUID(int=1), text="left").encode()
        made_at = Now() - timedelta(seconds=seconds)
        OutboxEvent.objects.create(event_id=UUID(int=1), topic="talk", type="test.said", body=body, created_at=made_at)

    def test_a_young_event_is_left_to_its_own_process(self, polled, monkeypatch):
        """The relay would compete with the publisher that is about to publish the event."""
        monkeypatch.setattr(polled._publisher, "publish", lambda _count: pytest.fail("it was published"))
        self.leave(0)
        assert polled.poll() == 0

    def test_an_event_that_was_left_is_published_and_counted(self, polled, monkeypatch):
        """All events behind the oldest one are published too."""
        monkeypatch.setattr(polled._publisher, "publish", lambda count: count(2) or count(1) or True)
        before = metrics.RELAY_PUBLISHED._value.get()
        self.leave(relay.RELAY_AFTER_SECONDS)
        assert polled.poll() == 3
        assert metrics.RELAY_PUBLISHED._value.get() - before == 3

    def test_a_publisher_that_holds_its_turn_without_progress_is_reported(self, polled, monkeypatch):
        """The error names the publisher, and only after the same event has been the oldest for long."""
        monkeypatch.setattr(polled._publisher, "publish", lambda _count: False)
        PublisherTurn.objects.create(pk=1, holder="web-1:7")
        self.leave(30)
        for polled.clock in (0.0, 5.0, 10.0):
            assert polled.poll() == 0
        polled.clock = 10.5
        with pytest.raises(relay.NoProgress, match=r"has waited for 30 s; the last publisher was web-1:7"):
            polled.poll()
        self.leave(31)
        assert polled.poll() == 0, "the oldest is another one now"

    def test_what_grows_is_pruned_each_hour(self, polled, monkeypatch):
        """Old rows and topics would accumulate."""
        pruned = []
        monkeypatch.setattr(relay.pruning, "prune", lambda: pruned.append(polled.clock))
        for polled.clock in (0.0, 3600.0, 3601.0, 3602.0, 7202.0):
            polled.poll()
        assert pruned == [3601.0, 7202.0]
