"""Writes docs/metrics.md from the declarations in tidewire.metrics and loadtest.run.load_metrics alone."""

from __future__ import annotations

import textwrap
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from deploy.local.layout import ROOT
from loadtest.run import load_metrics as load
from tidewire import metric_owners, metrics

PAGE = ROOT / "docs" / "metrics.md"
HEAD = """\
# Metrics

Written by `make generate` from `src/tidewire/metrics.py` and `loadtest/run/load_metrics.py`; edit those. Each ws node
serves its own on its admin port, each web service the sum over its processes on its own port, the relay its own on
the port of `relay --metrics`, all under `/metrics`; nginx must not proxy any of them. Nodes and the relay also serve
`process_*` (memory, CPU, start time), nodes also `python_gc_*`. [Monitoring](monitoring.md) describes dashboards and
alerts.

Labels are closed sets: a consumer is a class of the code, a topic a family (`document`, never its slug), a view a named
route. A value that a user can choose must not become a label.
"""
OWNERS = {
    "ws": metric_owners.NODE_METRICS,
    "web": metric_owners.PAGE_METRICS,
    "relay": metric_owners.RELAY_METRICS,
    "web and relay": metric_owners.PAGE_AND_RELAY_METRICS,
}
COST = ROOT / "docs" / "metrics-cost.md"


def declared() -> list[MetricWrapperBase]:
    """Return all metrics of the module, in its order."""
    return list(dict.fromkeys(each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)))


def page() -> str:
    """Return the whole document."""
    entries = "\n".join(_entry(metric) for metric in declared())
    cost = COST.read_text(encoding="utf-8")
    return f"{HEAD}\n## All of them\n\n{entries}\n\n{_of_the_load_test()}\n{_buckets()}\n{cost}"


def names() -> set[str]:
    """Return the names that a query may use, including the load test's."""
    return {exported(metric) for metric in declared()} | {each.exported for each in load.DECLARED}


def exported(metric: Any) -> str:
    """Return the name in a query; for a histogram the name before `_bucket`, `_sum` and `_count`."""
    [described] = metric.describe()
    return f"{described.name}_total" if described.type == "counter" else str(described.name)


def _entry(metric: Any) -> str:
    [described] = metric.describe()
    description, _, act = described.documentation.partition(" Act: ")
    labels = ", ".join(f"`{name}`" for name in metric._labelnames)  # noqa: SLF001 - there is no public name
    of = next((who for who, own in OWNERS.items() if metric in own), "ws, web and relay")
    facts = "; ".join(filter(None, (described.type, _unit(described.name), labels and f"by {labels}", f"of {of}")))
    text = f"- **`{exported(metric)}`** ({facts}). {description} *Act:* {act}"
    return _wrapped(text)


def _of_the_load_test() -> str:
    """Return the load test's metrics, which each of its processes serves during a run: docs/load-testing.md."""
    lines = []
    for each in load.DECLARED:
        description, _, act = each.help_text.partition(" Act: ")
        labels = ", ".join(f"`{name}`" for name in each.labels)
        facts = "; ".join(filter(None, (each.kind, _unit(each.name), labels and f"by {labels}")))
        lines.append(_wrapped(f"- **`{each.exported}`** ({facts}). {description} *Act:* {act}"))
    source = "From `loadtest/run/load_metrics.py`, by each process of a [load test](load-testing.md) during its run."
    return "\n".join(("## Of the load test", "", source, "", *lines, ""))


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _unit(name: str) -> str:
    return next((unit for unit in ("seconds", "bytes") if name.endswith(unit)), "count")


def _buckets() -> str:
    lines = (
        _wrapped(f"- `{exported(metric)}`: {', '.join(map(_plain, metric._kwargs['buckets']))}")  # noqa: SLF001 - as above
        for metric in declared()
        if "buckets" in metric._kwargs  # noqa: SLF001 - as above
    )
    return "\n".join(("## Buckets, in seconds", "", *lines, ""))


def _plain(bound: float) -> str:
    return f"{bound:f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}, {len(declared())} metrics")
