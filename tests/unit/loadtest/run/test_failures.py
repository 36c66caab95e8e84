"""Failures of the product and of the load test's own code are counted by kind, in each second, with the first one."""

import pytest

from loadtest.run.figures import LOGIN, MOST_KINDS, OTHER_KINDS, PAGE, Failures
from loadtest.run.objectives import Objectives, check
from loadtest.run.page_error import PageError
from loadtest.run.run_state import Run
from loadtest.run.service_watch import Ended
from testkit.reconciliation import Account


@pytest.fixture
def run():
    made = Run(Objectives.read(), print, clock=lambda: 1000.0)
    made.report = made.answered
    return made


def broken(run, **options):
    values = run.values(cpu_share=0.1, lag_ms=1.0, **options)
    return [each.name for each in check(run.objectives, values, {}) if each.passed is False]


def test_first_of_each_kind_is_said_with_their_count():
    failures = Failures()
    for second in (3, 4, 9):
        failures.note("GET /: connection refused", second, "connection refused")
    failures.note("WS /ws/users/ lost: closed with 1006", 5, "by ada")
    assert failures.lines() == [
        "3 x GET /: connection refused (first: at 3 s)",
        "1 x WS /ws/users/ lost: closed with 1006 (first: by ada at 5 s)",
    ]
    assert failures.count(since=4) == 3
    assert failures.count(until=4) == 1
    assert failures.count(containing="1006") == 1


def test_kinds_are_bounded_and_their_count_is_not():
    failures = Failures()
    for n in range(MOST_KINDS + 10):
        failures.note(f"kind {n}", 1)
    assert len(failures.lines()) == MOST_KINDS + 1
    assert failures.seconds[OTHER_KINDS][1] == 10
    assert failures.count() == MOST_KINDS + 10


def test_page_that_failed_is_counted_with_its_cause_and_judged(run):
    run.answered("GET", "/", 5.0, PageError("server error 502 Bad Gateway"))
    assert run.figures.failures.lines() == ["1 x GET /: server error 502 Bad Gateway (first: at 0 s)"]
    assert broken(run) == ["failed_requests", "server_errors"]


def test_refused_connection_is_no_error_of_the_server(run):
    run.answered("GET", "/", 5.0, ConnectionRefusedError(111, "Connection refused"))
    assert broken(run) == ["failed_requests"]


def test_slow_pages_and_logins_are_judged(run):
    for _ in range(20):
        run.answered("GET", "/", 4000.0, None)
        run.answered("POST", "/login/", 6000.0, None)
        run.measured("USER", LOGIN, 6.2)
    assert broken(run) == ["page_p95_ms", "page_p99_ms", "login_p95_ms"]
    # The login's own pages do not count as pages.
    assert run.figures.latencies[PAGE].total == 20


def test_only_the_seconds_of_steps_that_were_kept_are_judged(run):
    run.figures.latencies[PAGE].add(5, 10.0)
    run.figures.latencies[PAGE].add(15, 4000.0)
    run.figures.failures.note("GET /: server error 502", 15)
    assert broken(run, since=3, until=12) == []
    assert broken(run, since=3) == ["page_p95_ms", "page_p99_ms", "failed_requests", "server_errors"]


def test_mistake_in_a_journey_is_the_load_tests_own_and_counts_once(run):
    error = KeyError("editors")
    run.user_failed(error, has_arrived=True)
    run.broke(error)
    assert run.figures.own_faults.lines() == ["1 x KeyError: 'editors' (first: at 0 s)"]
    assert not run.figures.failures.lines()
    assert run.failed_arrivals == 0


def test_page_that_lacks_its_form_is_a_failure_of_the_product(run):
    run.user_failed(PageError("/ has no field version", name="/"), has_arrived=False)
    assert run.figures.failures.lines() == ["1 x PAGE /: / has no field version (first: at 0 s)"]
    assert not run.figures.own_faults.lines()
    assert run.failed_arrivals == 1


def test_page_whose_request_failed_counts_once(run):
    error = PageError("answer 403 Forbidden", name="/", is_counted=True)
    run.answered("GET", "/", 5.0, error)
    run.user_failed(error, has_arrived=True)
    assert run.figures.failures.count() == 1


@pytest.mark.parametrize("unexplained", [1, -1])
def test_delivery_that_nothing_explains_breaks_an_objective(run, unexplained):
    run.accounts.account = Account(1, 1, 1, 1, {}, (), unexplained=unexplained)
    assert broken(run) == ["unexplained"]


def test_service_that_ended_breaks_an_objective(run):
    run.ended_services = [Ended("ws:18201", 12, 31, "ended", 33)]
    assert broken(run) == ["services_ended"]
