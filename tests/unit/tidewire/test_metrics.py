"""The description that each metric must have, and the page that is generated from it."""

import ast
import functools
from collections import Counter as Counts
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from deploy.local.layout import ROOT
from deploy.prometheus.metrics_page import OWNERS, PAGE, declared, exported, page
from tidewire import metrics
from tidewire.close_codes import CloseCode

SOURCES = sorted(path for folder in ("src", "services") for path in (ROOT / folder).rglob("*.py"))
MAKERS = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
# Labels with values that are names in the code (classes, families of topics, routes) or in HTTP.
# The exception is a fingerprint: one for each secret that a process has read.
NAMED_BY_THE_CODE = {"consumer", "topic", "view", "method", "status", "secret", "fingerprint"}


def named(metric: MetricWrapperBase) -> str:
    return exported(metric)


def value(name: str, **labels: str) -> float | None:
    """Return a sample of this process's registry."""
    return REGISTRY.get_sample_value(name, labels)


@pytest.mark.parametrize("metric", declared(), ids=named)
def test_every_metric_says_what_it_is_and_when_to_act(metric):
    """A sentence and, after "Act:", the action that an operator should take."""
    says, _, act = metric.describe()[0].documentation.partition(" Act: ")
    assert says.endswith(".")
    assert act.endswith(".")


@pytest.mark.parametrize("metric", declared(), ids=named)
def test_every_metric_has_its_prefix_and_labels_of_a_closed_set(metric):
    """The code names a label's values, or one of the two tables lists them."""
    assert metric.describe()[0].name.startswith("tidewire_")
    known = metric in metrics.VALUES or metric in metrics.VALUES_PER_LABEL
    assert len(set(metric._labelnames) - NAMED_BY_THE_CODE) == int(known and metric is not metrics.REQUESTS)


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    """Return all nodes of a module's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def makes(path: Path) -> list[str]:
    """Return the names of prometheus_client's metrics that a module imports."""
    imported = {
        name.asname or name.name
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("prometheus_client")
        for name in node.names
    }
    return sorted(imported & MAKERS)


def test_no_other_module_declares_a_metric():
    """A metric that is declared elsewhere would be missing from the page."""
    makers = {path.relative_to(ROOT).as_posix(): found for path in SOURCES if (found := makes(path))}
    assert makers == {"src/tidewire/metrics.py": ["Counter", "Gauge", "Histogram"]}


def test_a_metric_without_labels_says_whose_it_is():
    """Such a metric exists in every process, so without an owner pages would export a node's metric as zero."""
    known = (*(metric for own in OWNERS.values() for metric in own), metrics.REDIS_RECONNECTS)
    assert [exported(each) for each in declared() if not each._labelnames and each not in known] == []


def test_the_page_is_what_the_module_says():
    """`make generate` writes the page."""
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("seconds", [0.25])
def test_the_objective_of_delivery_is_a_bound_of_its_buckets(seconds):
    """Deliveries within the objective must be counted instead of estimated; the recording rule uses this bucket."""
    rule = (ROOT / "deploy" / "prometheus" / "rules" / "recording.yml").read_text(encoding="utf-8")
    assert f'le="{seconds}"' in rule
    metrics.DELIVERY_SECONDS.labels("measured").observe(seconds)
    assert value("tidewire_delivery_seconds_bucket", topic="measured", le=str(seconds)) == 1


def test_a_consumers_counters_begin_at_zero():
    """For Prometheus a counter that first appears as 1 is no increase, so no alert would fire."""
    assert value("tidewire_slow_closes_total", consumer="Newcomer") is None
    metrics.initialise("Newcomer")
    assert value("tidewire_slow_closes_total", consumer="Newcomer") == 0
    for code in CloseCode:
        assert value("tidewire_closes_total", consumer="Newcomer", code=str(code.value)) == 0
        assert value("tidewire_connects_total", consumer="Newcomer", result=code.name.lower()) == 0
    for code in ("1000", "1002", "1006", "1009", "other"):
        assert value("tidewire_closes_total", consumer="Newcomer", code=code) == 0
    assert value("tidewire_messages_rejected_total", consumer="Newcomer", reason="malformed") == 0


def literals(function: str, place: int) -> set[str]:
    """Return all literals that the code passes to this function at this position after `self`."""
    results = set()
    for path in SOURCES:
        for node in nodes(path):
            if isinstance(node, ast.Call) and len(node.args) > place:
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                argument = node.args[place]
                if name == function and isinstance(argument, ast.Constant):
                    results.add(argument.value)
    return results


def labelled() -> Counts[tuple[str, str]]:
    """Return (metric, value) for every `metrics.NAME.labels(..., "value")` in the code."""
    counts: Counts[tuple[str, str]] = Counts()
    for path in SOURCES:
        for node in nodes(path):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="labels", value=ast.Attribute(attr=name, value=ast.Name(id="metrics"))),
                    args=[*_, ast.Constant(value=str(text))],
                ):
                    counts[name, text] += 1
    return counts


def test_every_value_of_a_label_stands_in_its_set():
    """`protocol` was missing, so its first refusal was no increase; the task that reports was missing too."""
    sets = {
        name: {**metrics.VALUES, **metrics.VALUES_PER_LABEL}[metric]
        for name, metric in vars(metrics).items()
        if isinstance(metric, MetricWrapperBase) and (metric in metrics.VALUES or metric in metrics.VALUES_PER_LABEL)
    }
    used = labelled()
    assert len(used) > 15
    assert [(name, text) for name, text in used if text not in sets.get(name, ())] == []


@pytest.mark.parametrize(
    ("function", "place", "known"),
    [
        ("refuse", 0, metrics.LIMITS),
        ("_count_and_answer", 0, metrics.LIMITS),
        ("_end", 1, metrics.LIMITS),
        ("start_task", 0, metrics.TASKS),
        ("_reject", 0, metrics.VALUES_PER_LABEL[metrics.REJECTED]),
    ],
)
def test_every_value_that_travels_to_a_label_stands_in_its_set(function, place, known):
    """The same for values that a function passes on."""
    texts = literals(function, place)
    assert texts
    assert texts <= set(known)
