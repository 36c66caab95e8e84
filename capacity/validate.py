"""The model against runs that it was not fitted to: the predicted and the measured cost of each run's workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capacity.costs import Costs, Errors
from capacity.from_report import workload_of
from capacity.inputs import WorkloadError
from capacity.model import plan
from capacity.ranges import FIGURES, predicted, ranges
from loadtest.report import compare_runs
from loadtest.run import figures

# The name of delivery in the reports of capacity/runs.
EARLIER_DELIVERY = "notification.created"
# The ratios in errors.toml have four decimals.
ROUNDING = 1e-4
UNITS = {"delivery_p95_ms": "ms", "ws_memory_mib": "MiB"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure, predicted with its range, and measured."""

    name: str
    predicted: float
    measured: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """The error of the prediction, as a share of the measured value."""
        return self.predicted / self.measured - 1 if self.measured else 0.0

    @property
    def is_inside(self) -> bool:
        return self.low * (1 - ROUNDING) <= self.measured <= self.high * (1 + ROUNDING)

    def __str__(self) -> str:
        unit = UNITS.get(self.name, "cores")
        where = "inside" if self.is_inside else "OUTSIDE"
        return (
            f"{self.name}: predicted {self.predicted:.3g} {unit} ({self.low:.3g} to {self.high:.3g}), measured"
            f" {self.measured:.3g} {unit}, error {self.error:+.0%}, {where}"
        )


def compared(run: Mapping[str, Any], costs: Costs, errors: Errors) -> list[Comparison]:
    """Compare CPU and memory of the nodes, CPU of web, Redis and nginx, and p95 of delivery."""
    measured = _measured(run)
    workload, nodes = workload_of(run), sum(name.startswith("ws") for name in run["services"])
    values = predicted(plan(workload, costs, nodes=nodes))
    found = ranges(workload, costs, errors, nodes=nodes)
    return [
        Comparison(
            name,
            values[name],
            value,
            values[name] * getattr(found.low, name),
            values[name] * getattr(found.high, name),
        )
        for name, value in measured.items()
    ]


def main(paths: Sequence[Path], costs: Costs, errors: Errors) -> str:
    lines, every = [], []
    for path in paths:
        run = compare_runs.read(path)
        found = compared(run, costs, errors)
        every += found
        lines += [f"{path}: {run['title']}, {run['configuration']['date']}", *map(str, found), ""]
    inside = sum(each.is_inside for each in every)
    own, all_own = left_out(errors)
    lines += [
        f"Measured values inside the ranges: {inside} of {len(every)}; evidence only for runs not in errors.toml.",
        f"Of the runs in errors.toml, each with ranges from the others alone: {own} of {all_own} inside.",
        "",
        "Lines for errors.toml, measured divided by predicted:",
        *_lines(every),
        "",
    ]
    return "\n".join(lines)


def left_out(errors: Errors) -> tuple[int, int]:
    """Return how many ratios are within the ranges that the other runs give, and how many there are."""
    inside = every = 0
    for figure in FIGURES:
        ratios = list(getattr(errors, figure))
        for place, ratio in enumerate(ratios):
            others = [*ratios[:place], *ratios[place + 1 :], 1.0]
            inside += min(others) <= ratio <= max(others)
            every += 1
    return inside, every


def _lines(every: Sequence[Comparison]) -> list[str]:
    return [
        f"{figure} = {[round(each.measured / each.predicted, 4) for each in every if each.name == figure]}"
        for figure in FIGURES
    ]


def _measured(run: Mapping[str, Any]) -> dict[str, float]:
    services = run["services"]
    nodes = [values for name, values in services.items() if name.startswith("ws")]
    if not nodes:
        raise WorkloadError("the run did not watch its ws nodes: there is nothing to compare with")
    measured = {
        "ws_cores": sum(node["cpu_mean"] for node in nodes),
        "ws_memory_mib": max(node["rss_mib"] for node in nodes),
    }
    for service in ("web", "redis", "nginx"):
        if service in services:
            measured[f"{service}_cores"] = services[service]["cpu_mean"]
    latencies = run["latencies"]
    if delivery := latencies.get(figures.DELIVERY) or latencies.get(EARLIER_DELIVERY):
        measured["delivery_p95_ms"] = delivery["p95"]
    return measured
