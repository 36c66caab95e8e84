"""A connection that does not wait for ever, and the circuit breaker that its failure opens."""

import psycopg
import pytest
from psycopg import errors

from dashboard.postgresql import base
from dashboard.postgresql.refusals import BEGINNING_SECONDS, Refusals
from tidewire import metrics
from tidewire.publishing.circuit_breaker import CircuitBreaker


class Clock:
    now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def server(monkeypatch, clock):
    made = CircuitBreaker(silent_seconds=base.SILENT_SECONDS, clock=clock)
    monkeypatch.setattr(base, "SERVER", made)
    monkeypatch.setattr(base, "REFUSALS", Refusals(clock=clock, sleep=clock.sleep))
    return made


@pytest.fixture
def wrapper():
    return base.DatabaseWrapper({"OPTIONS": {}})


def answers(monkeypatch, *results):
    """Let each attempt to connect raise an error or return a connection, in turn."""
    left = list(results)

    def connect(**_params):
        result = left.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(base.LimitedConnection, "connect", connect)
    return left


class Opened:
    limit_seconds = None


def counted(kind):
    return metrics.DATABASE_ERRORS.labels(kind)._value.get()


def test_after_a_timeout_others_fail_at_once_until_one_has_connected(monkeypatch, wrapper, clock):
    before = counted("timeout")
    left = answers(monkeypatch, errors.ConnectionTimeout("no answer"), Opened(), Opened())
    with pytest.raises(errors.ConnectionTimeout):
        wrapper.get_new_connection({})
    with pytest.raises(psycopg.OperationalError, match="tried again soon"):
        wrapper.get_new_connection({})
    assert len(left) == 2
    assert counted("timeout") == before + 1
    clock.now += 10
    wrapper.get_new_connection({})
    wrapper.get_new_connection({})
    assert left == []


def test_a_timeout_of_one_while_others_are_answered_fails_only_that_one(monkeypatch, wrapper, clock, server):
    """On a busy machine one slow connection failed all pages of its process for two seconds."""
    monkeypatch.setattr(psycopg.Connection, "wait", lambda *_arguments: "an answer")
    answers(monkeypatch, errors.ConnectionTimeout("no answer"), errors.ConnectionTimeout("no answer"))
    connection = base.LimitedConnection.__new__(base.LimitedConnection)
    clock.now += base.SILENT_SECONDS
    assert connection.wait(None) == "an answer"
    clock.now += base.SILENT_SECONDS / 2
    with pytest.raises(errors.ConnectionTimeout):
        wrapper.get_new_connection({})
    assert not server.is_open
    # Without an answer in the meantime, the next one is an outage.
    clock.now += base.SILENT_SECONDS / 2
    with pytest.raises(errors.ConnectionTimeout):
        wrapper.get_new_connection({})
    assert server.is_open


def test_a_refused_connection_is_counted_and_tried_again(monkeypatch, wrapper):
    """After a restart, or the exchange of databases by a restore, the server is back soon: no page should fail."""
    before = counted("connection")
    left = answers(monkeypatch, *[psycopg.OperationalError("refused")] * 3, Opened())
    wrapper.get_new_connection({})
    assert left == []
    assert counted("connection") == before + 3


def test_only_the_beginning_of_an_outage_is_waited_for(monkeypatch, wrapper, clock):
    answers(monkeypatch, *[psycopg.OperationalError("refused")] * 100)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        wrapper.get_new_connection({})
    assert clock.now == pytest.approx(BEGINNING_SECONDS, abs=0.2)
    # The next page of this process fails at once.
    with pytest.raises(psycopg.OperationalError, match="refused"):
        wrapper.get_new_connection({})
    assert clock.now == pytest.approx(BEGINNING_SECONDS, abs=0.2)


def test_the_next_outage_has_a_beginning_of_its_own(monkeypatch, wrapper, clock):
    refused = psycopg.OperationalError("refused")
    left = answers(monkeypatch, refused, Opened(), refused, Opened())
    wrapper.get_new_connection({})
    clock.now += 100
    wrapper.get_new_connection({})
    assert left == []


@pytest.mark.parametrize(("option", "limit"), [({"limit_seconds": 6.0}, 6.0), ({}, None)])
def test_a_connection_has_the_limit_of_its_settings(monkeypatch, wrapper, option, limit):
    answers(monkeypatch, Opened())
    assert wrapper.get_new_connection(dict(option)).limit_seconds == limit
