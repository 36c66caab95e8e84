"""What every metric must say of itself, and the page that is made of it."""

import pytest
from prometheus_client.metrics import MetricWrapperBase

from deploy.prometheus.metrics_page import OWNERS, PAGE, declared, exported, page
from tidewire import metrics
from tidewire.close_codes import CloseCode

# Where a label's values come from, all of them closed: classes, families, constants of the code, named routes.
LABELS = {
    "bound",
    "consumer",
    "topic",
    "result",
    "code",
    "reason",
    "by",
    "task",
    "kind",
    "step",
    "method",
    "view",
    "status",
}


def named(metric: MetricWrapperBase) -> str:
    return exported(metric)


@pytest.mark.parametrize("metric", declared(), ids=named)
def test_every_metric_says_what_it_is_and_when_to_act(metric):
    """A sentence, and behind "Act:" what a person does about it."""
    says, _, act = metric.describe()[0].documentation.partition(" Act: ")
    assert says.endswith(".")
    assert act.endswith(".")


@pytest.mark.parametrize("metric", declared(), ids=named)
def test_every_metric_has_its_prefix_and_labels_of_a_closed_set(metric):
    assert metric.describe()[0].name.startswith("tidewire_")
    assert set(metric._labelnames) <= LABELS


def test_what_is_declared_elsewhere_would_not_be_on_the_page():
    """One module: no other of the library makes a metric."""
    owned = {id(metric) for own in OWNERS.values() for metric in own}
    assert owned <= {id(each) for each in declared()}


def test_a_metric_without_labels_says_whose_it_is():
    """It exists in every process from the import on: without saying, pages would export a node's zero."""
    known = (*(metric for own in OWNERS.values() for metric in own), metrics.REDIS_RECONNECTS)
    assert [exported(each) for each in declared() if not each._labelnames and each not in known] == []


def test_the_page_is_what_the_module_says():
    """`make monitoring` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_delivery_is_asked_about_from_a_millisecond_to_ten_seconds():
    assert (metrics.DELIVERY_SECONDS._kwargs["buckets"][0], metrics.DELIVERY_SECONDS._kwargs["buckets"][-1]) == (
        0.001,
        10,
    )
    # The objective stands on a bound, so that its share is counted and not estimated.
    assert 0.25 in metrics.DELIVERY_SECONDS._kwargs["buckets"]
    assert metrics.FANOUT_SECONDS._kwargs["buckets"][0] == 0.00001
    assert metrics.CONNECTION_SECONDS._kwargs["buckets"][-1] == 86400


def test_a_consumers_counters_begin_at_zero():
    """A counter that first appears as 1 is no increase to Prometheus, and no alert."""
    metrics.begin("Newcomer")
    begun = {
        (sample.name, tuple(sample.labels.items()))
        for metric in (metrics.CONNECTS, metrics.CLOSES, metrics.SLOW_CLOSES)
        for sample in metric.collect()[0].samples
    }
    assert ("tidewire_slow_closes_total", (("consumer", "Newcomer"),)) in begun
    for code in CloseCode:
        assert ("tidewire_closes_total", (("consumer", "Newcomer"), ("code", str(code.value)))) in begun
        assert ("tidewire_connects_total", (("consumer", "Newcomer"), ("result", code.name.lower()))) in begun
