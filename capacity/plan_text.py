"""A plan as Markdown: sizes and resources with their ranges and causes, growth, and the effect of each input."""

from __future__ import annotations

import math
from collections.abc import Sequence

from capacity.costs import Costs, Errors
from capacity.model import Load, Plan, plan
from capacity.ranges import STEP, Effect, Ranges, effects, ranges
from capacity.workload import Workload
from testkit.svg_charts import number

# Effects and causes smaller than these shares are not listed.
LEAST_EFFECT, LEAST_CAUSE = 0.01, 0.05
EFFECT_NAMES = {
    "ws_cores": "ws CPU",
    "ws_memory_mib": "ws memory",
    "web_cores": "web CPU",
    "redis_cores": "Redis CPU",
    "nginx_cores": "nginx CPU",
    "delivery_p95_ms": "p95",
}


def described(planned: Plan, workload: Workload, costs: Costs, errors: Errors, *, nodes: int | None) -> str:
    """Describe a plan; `nodes` is the number that was asked for."""
    found = ranges(workload, costs, errors, nodes=planned.nodes)
    low, high = (plan(workload, costs, nodes=nodes, factors=factors) for factors in (found.low, found.high))
    deliveries = f"{workload.deliveries_per_second:,.0f} deliveries a second"
    size = (
        f"{_counts(low.nodes, planned.nodes, high.nodes)} ws nodes of {planned.sockets_per_node:,.0f} sockets,"
        f" {_cores(low.ws_cores, planned.ws_cores, high.ws_cores)} cores together;"
        f" {_counts(low.web_processes, planned.web_processes, high.web_processes)} web processes,"
        f" {_cores(low.web_cores, planned.web_cores, high.web_cores)} cores;"
        f" nginx, {_cores(low.nginx_cores, planned.nginx_cores, high.nginx_cores)} cores; one Redis."
    )
    lines = [
        f"# {planned.users:,} users, {planned.sockets:,.0f} sockets, {deliveries}",
        "",
        size,
        "",
        "| resource | used | range | of | full | largest causes |",
        "|---|--:|--:|--:|--:|---|",
    ]
    lines += [_row(load, found) for load in sorted(planned.loads, key=lambda each: -each.share)]
    lines += [
        "",
        f"{_verdict(planned, found)} What ends first is {planned.first.resource}: {planned.first.change}.",
        "",
        _about(found, costs),
        "",
    ]
    return "\n".join(lines)


def growth_table(growth: Sequence[Plan]) -> str:
    lines = [
        "| users | sockets | ws nodes | ws cores | web cores | nginx cores | Redis core | p95 ms | ends first | fits |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|---|---|",
    ]
    lines += [
        f"| {each.users:,} | {each.sockets:,.0f} | {each.nodes:,} | {number(each.ws_cores)} | {number(each.web_cores)}"
        f" | {number(each.nginx_cores)}"
        f" | {number(each.redis_core)} | {_number(each.p95_ms)} | {each.first.resource}"
        f" | {'yes' if each.fits else 'no'} |"
        for each in growth
    ]
    return "\n".join([*lines, ""])


def effects_table(workload: Workload, costs: Costs, *, nodes: int) -> str:
    """Return the change of each figure for each input, by the greatest."""
    found = [each for each in effects(workload, costs, nodes=nodes) if each.greatest >= LEAST_EFFECT]
    names = [name for name in EFFECT_NAMES if any(abs(each.changes[name]) >= LEAST_EFFECT for each in found)]
    lines = [
        f"Effects of each input that is {STEP:.0%} greater, with {nodes:,} nodes, if at least {LEAST_EFFECT:.0%}:",
        "",
        f"| input | value | {' | '.join(EFFECT_NAMES[name] for name in names)} |",
        f"|---|--:|{'--:|' * len(names)}",
    ]
    lines += [f"| {each.name} | {number(each.value)} | {' | '.join(_effects(each, names))} |" for each in found]
    return "\n".join([*lines, ""])


def _effects(each: Effect, names: Sequence[str]) -> list[str]:
    return [f"{each.changes[name]:+.0%}" if abs(each.changes[name]) >= LEAST_EFFECT / 2 else "" for name in names]


def _row(load: Load, found: Ranges) -> str:
    causes = ", ".join(f"{cause} {share:.0%}" for cause, share in load.causes[:3] if share >= LEAST_CAUSE)
    low, high = _bounds(load, found)
    between = "" if low == high else f"{_number(low)} to {_number(high)}"
    return (
        f"| {load.resource} | {_number(load.used)} {load.unit} | {between} | {number(load.limit)} {load.unit}"
        f" | {_percent(load.share)} | {causes} |"
    )


def _bounds(load: Load, found: Ranges) -> tuple[float, float]:
    if load.figure is None:
        return load.used, load.used
    return load.used * getattr(found.low, load.figure), load.used * getattr(found.high, load.figure)


def _verdict(planned: Plan, found: Ranges) -> str:
    allowed = f"{planned.max_utilization:.0%}"
    if not planned.fits:
        return f"**It does not fit**: more than {allowed} of {planned.first.resource} would be in use."
    unsure = [
        load.resource
        for load in planned.loads
        if _bounds(load, found)[1] / load.limit > planned.max_utilization * (1 + 1e-9)
    ]
    if unsure:
        return (
            f"**It fits if the model is right**: at the upper end of the range more than {allowed} of"
            f" {', '.join(unsure)} would be in use."
        )
    return f"It fits: at most {allowed} of each resource is in use, at the upper end of each range too."


def _about(found: Ranges, costs: Costs) -> str:
    spread = " and by the spread of the costs between the rounds of their calibration."
    none = ". (The costs are of a single round, so their spread is unknown.)"
    return (
        f"Ranges are the model's figures, changed by its least and its greatest error in {found.runs} held-out runs"
        f"{spread if costs.spread else none} A figure of a new run like these is within its range with a chance of"
        f" {found.inside:.0%}."
    )


def _counts(low: int, value: int, high: int) -> str:
    return f"{value:,}" if low == high else f"{value:,} ({low:,} to {high:,})"


def _cores(low: float, value: float, high: float) -> str:
    return f"{number(value)} ({number(low)} to {number(high)})"


def _number(value: float) -> str:
    return "endless" if math.isinf(value) else number(value)


def _percent(share: float) -> str:
    return "overloaded" if math.isinf(share) else f"{share:.0%}"
