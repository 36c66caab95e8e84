"""Rates of metrics within the meter's window."""

import pytest
from prometheus_client import Histogram

from tidewire import metrics
from tidewire.contrib.operations.rates import Meter


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def delivery(monkeypatch):
    """A histogram for this test, with bounds that make calculations easy."""
    histogram = Histogram("delivery_seconds", "", ["topic"], buckets=(0.001, 0.005, 0.01, 10), registry=None)
    monkeypatch.setattr(metrics, "DELIVERY_SECONDS", histogram)
    return histogram


def test_a_rate_is_what_came_since_the_first_look_per_second(clock):
    """The sum over all consumers and topics."""
    meter = Meter(readings=10, clock=clock)
    metrics.CONNECTS.labels("One", "accepted").inc(6)
    metrics.CONNECTS.labels("Two", "busy").inc(4)
    metrics.DELIVERED.labels("talk").inc(300)
    metrics.CLOSES.labels("One", "1000").inc()
    clock.now += 2
    rates = meter.read()
    assert (rates.connects, rates.closes, rates.deliveries) == (5, 0.5, 150)


def test_what_is_older_than_the_window_counts_no_more(clock):
    """A busy moment must be forgotten after the configured number of readings."""
    meter = Meter(readings=3, clock=clock)
    metrics.DELIVERED.labels("talk").inc(300)
    seen = []
    for _ in range(4):
        clock.now += 1
        seen.append(meter.read().deliveries)
    assert seen == [300, 150, 100, 0]


def test_a_quantile_of_nothing_is_none(clock):
    """A latency of zero would look like the best one."""
    clock.now += 1
    assert Meter(readings=3, clock=clock).read().delivery_p99_seconds is None


def test_a_quantile_is_even_within_its_bucket(clock, delivery):
    """The result over all topics must equal Prometheus's quantile of the same counts."""
    meter = Meter(readings=3, clock=clock)
    for _ in range(50):
        delivery.labels("talk").observe(0.0001)
        delivery.labels("news").observe(0.0001)
    clock.now += 1
    assert meter.read().delivery_p99_seconds == pytest.approx(0.00099)
    for _ in range(100):
        delivery.labels("talk").observe(0.007)
    clock.now += 1
    # The 198th of 200 is the 98th of the hundred between 5 and 10 ms.
    assert meter.read().delivery_p99_seconds == pytest.approx(0.0099)


def test_a_quantile_above_all_bounds_is_the_last_bound(clock, delivery):
    """The buckets contain no larger value."""
    meter = Meter(readings=3, clock=clock)
    delivery.labels("talk").observe(1000)
    clock.now += 1
    assert meter.read().delivery_p99_seconds == 10
