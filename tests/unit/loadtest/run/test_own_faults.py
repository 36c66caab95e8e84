"""An exception of the load test's own code is named, in a user's arrival, in a task and in any greenlet."""

from types import SimpleNamespace

import gevent
import pytest

from loadtest.run.objectives import Objectives
from loadtest.run.own_faults import name_own_faults
from loadtest.run.page_error import PageError
from loadtest.run.run_state import Run


@pytest.fixture
def run():
    return Run(Objectives.read(), lambda **_request: None, clock=lambda: 1000.0)


@pytest.fixture
def user_failed(run, monkeypatch):
    """Locust's event of a user's exception. The hub's output is not shown."""
    listeners = []
    monkeypatch.setattr(gevent.get_hub(), "handle_error", lambda *_error: None)
    hook = SimpleNamespace(add_listener=listeners.append)
    name_own_faults(SimpleNamespace(events=SimpleNamespace(user_error=hook)), lambda: run)
    return listeners[0]


def named(run):
    return run.figures.own_faults.lines()


def fail(error):
    raise error


def test_exception_of_any_greenlet_is_named(run, user_failed):
    gevent.spawn(fail, LookupError("of a heartbeat")).join()
    [line] = named(run)
    assert line.startswith("1 x LookupError: of a heartbeat in test_own_faults.py:")


def test_page_that_ends_a_greenlet_is_the_products(run, user_failed):
    gevent.spawn(fail, PageError("server error 502")).join()
    assert not named(run)


def test_arrival_that_failed_is_counted_and_named_once(run, user_failed):
    error = LookupError("in an arrival")
    user_failed(user_instance=SimpleNamespace(environment=None), exception=error, tb=None)
    # Locust raises it again, and the user's greenlet ends.
    gevent.spawn(fail, error).join()
    assert len(named(run)) == 1
    assert run.failed_arrivals == 1


def test_task_that_failed_is_no_arrival(run, user_failed):
    user_failed(user_instance=SimpleNamespace(user=None), exception=LookupError("in a task"), tb=None)
    assert len(named(run)) == 1
    assert run.failed_arrivals == 0
