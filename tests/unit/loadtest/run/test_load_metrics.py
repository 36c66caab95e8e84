"""The metrics of a run for Prometheus."""

import pytest
from prometheus_client import CollectorRegistry

from loadtest.run import figures
from loadtest.run.generator_health import Sample
from loadtest.run.load_metrics import DECLARED, LiveFigures
from loadtest.run.objectives import Objectives
from loadtest.run.run_state import HOLD, Run
from testkit.delivery_ledger import Ledger


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def run(clock):
    return Run(Objectives.read(), lambda **_request: None, clock=clock)


@pytest.fixture
def asked(run):
    registry = CollectorRegistry()
    registry.register(LiveFigures(run))
    return registry.get_sample_value


def test_every_declared_metric_is_told(run):
    assert {family.name for family in LiveFigures(run).collect()} == {each.name for each in DECLARED}
    assert all(" Act: " in each.help_text for each in DECLARED)


def test_figures_are_a_histogram_that_only_grows(run, asked, clock):
    meter = run.meter("EVENT", figures.DELIVERY)
    delivery = {"figure": "delivery"}
    for second, seconds in ((0, 0.004), (0, 0.2), (1, 9.0)):
        meter.add(second, seconds)
    # The current second is incomplete, so only the next scrape may include it.
    clock.now += 1.0
    assert asked("tidewire_load_seconds_count", delivery) == 2
    clock.now += 1.0
    assert asked("tidewire_load_seconds_count", delivery) == 3
    assert asked("tidewire_load_seconds_bucket", {**delivery, "le": "0.005"}) == 1
    assert asked("tidewire_load_seconds_bucket", {**delivery, "le": "0.25"}) == 2
    assert asked("tidewire_load_seconds_sum", delivery) == pytest.approx(9.204)


def test_accounts_are_told_in_mid_run(run, asked):
    run.enter(HOLD)
    ada, bob = Ledger("ada", ("e", 0)), Ledger("bob", ("e", 0))
    for ledger in (ada, bob):
        run.accounts.ledgers.append(ledger)
    for offset in (1, 3):
        ada.received(offset, 0.01)
    bob.received(1, 0.01)
    run.accounts.publications.add("e", 3, 1000.0)
    assert asked("tidewire_load_phase", {"phase": "hold"}) == 1
    assert asked("tidewire_load_phase", {"phase": "ramp"}) == 0
    assert asked("tidewire_load_faults", {"kind": "lost"}) == 1
    assert asked("tidewire_load_deliveries_due") == 4
    assert asked("tidewire_load_deliveries") == 3
    assert asked("tidewire_load_deliveries_on_the_way") == 2


def test_generator_and_pages_are_told(run, asked):
    run.samples.append(Sample(0.0, 0.4, 30.0))
    run.answered("GET", "/", 1.0, None)
    run.answered("POST", "/", 1.0, ValueError("500"))
    run.answered("EVENT", "notification.created", 1.0, None)
    assert asked("tidewire_load_cpu_share") == pytest.approx(0.4)
    assert asked("tidewire_load_lag_seconds") == pytest.approx(0.03)
    assert asked("tidewire_load_requests_total", {"result": "ok"}) == 1
    assert asked("tidewire_load_requests_total", {"result": "failed"}) == 1
