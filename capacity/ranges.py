"""Ranges in place of points, and the effect of each input on a plan.

A range is from the model's errors in held-out runs, and from the differences between the rounds of a calibration.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capacity.costs import COST_NAMES, Costs, Errors
from capacity.model import Factors, Plan, plan
from capacity.workload import Topic, Workload

FIGURES = tuple(field.name for field in dataclasses.fields(Factors))
# The change of an input by which its effect is measured.
STEP = 0.1


@dataclass(frozen=True, slots=True)
class Ranges:
    """The least and the greatest factor of each figure, and the number of held-out runs that they are from."""

    low: Factors
    high: Factors
    runs: int

    @property
    def inside(self) -> float:
        """The chance that a new run of the same kind is within the least and the greatest of `runs` runs.

        A new run is equally likely to be in any place among them, whatever the distribution.
        """
        return (self.runs - 1) / (self.runs + 1)


def ranges(workload: Workload, costs: Costs, errors: Errors, *, nodes: int) -> Ranges:
    """Combine the errors of held-out runs with the spread of the costs, as independent of each other."""
    by_costs = _by_costs(workload, costs, nodes)
    low, high = {}, {}
    for figure in FIGURES:
        ratios = getattr(errors, figure)
        low[figure] = math.exp(-math.hypot(math.log(min(*ratios, 1.0)), by_costs[figure]))
        high[figure] = math.exp(math.hypot(math.log(max(*ratios, 1.0)), by_costs[figure]))
    return Ranges(Factors(**low), Factors(**high), min(len(getattr(errors, figure)) for figure in FIGURES))


@dataclass(frozen=True, slots=True)
class Effect:
    """An input's effect: the relative change of each figure if the input is a tenth greater."""

    name: str
    value: float
    changes: Mapping[str, float]

    @property
    def greatest(self) -> float:
        return max(map(abs, self.changes.values()))


def effects(workload: Workload, costs: Costs, *, nodes: int) -> list[Effect]:
    """Return the effects of all inputs on a plan with this number of nodes, the greatest first."""
    before = predicted(plan(workload, costs, nodes=nodes))

    def effect(name: str, value: float, changed: Plan) -> Effect:
        after = predicted(changed)
        return Effect(name, value, {figure: _change(before[figure], after[figure]) for figure in before})

    found = [
        effect(name, value, plan(changed, costs, nodes=nodes)) for name, value, changed in _changed_inputs(workload)
    ]
    for name in COST_NAMES:
        value = getattr(costs, name)
        shown = costs.delivery_at(workload.sockets / nodes) if isinstance(value, Mapping) else value
        found.append(effect(name, shown, plan(workload, costs.times(name, 1 + STEP), nodes=nodes)))
    return sorted(found, key=lambda each: -each.greatest)


def predicted(planned: Plan) -> dict[str, float]:
    """Return the figures of a plan that have errors, by the names of `Factors`."""
    return {
        "ws_cores": planned.ws_cores,
        "ws_memory_mib": planned.node_memory_mib,
        "web_cores": planned.web_cores,
        "redis_cores": planned.redis_core,
        "nginx_cores": planned.nginx_cores,
        "delivery_p95_ms": planned.p95_ms,
    }


def _changed_inputs(workload: Workload) -> Iterator[tuple[str, float, Workload]]:
    """Yield each number of the workload, with the workload in which it alone is greater. A share cannot exceed 1."""
    yield "users", workload.users, workload.grown_to(round(workload.users * (1 + STEP)))
    for field in dataclasses.fields(workload):
        value = getattr(workload, field.name)
        if field.name != "users" and isinstance(value, int | float) and value:
            yield field.name, value, dataclasses.replace(workload, **_greater(field.name, value))
    for place, topic in enumerate(workload.topic):
        for name in ("events_per_second", "audience_share", "event_bytes"):
            value = getattr(topic, name)
            greater = dataclasses.replace(topic, **_greater(name, value))
            yield f"{topic.name}: {name}", value, dataclasses.replace(workload, topic=_with(workload, place, greater))


def _greater(name: str, value: float) -> dict[str, Any]:
    if name.endswith("_share"):
        return {name: min(1.0, value * (1 + STEP))}
    return {name: round(value * (1 + STEP)) if isinstance(value, int) else value * (1 + STEP)}


def _with(workload: Workload, place: int, topic: Topic) -> Sequence[Topic]:
    return [topic if i == place else each for i, each in enumerate(workload.topic)]


def _by_costs(workload: Workload, costs: Costs, nodes: int) -> dict[str, float]:
    """Return the logarithm of the factor by which the spread of all costs together can change each figure."""
    before = predicted(plan(workload, costs, nodes=nodes))
    squares = dict.fromkeys(FIGURES, 0.0)
    for name, spread in costs.spread.items():
        after = predicted(plan(workload, costs.times(name, 1 + spread), nodes=nodes))
        for figure in FIGURES:
            squares[figure] += math.log1p(_change(before[figure], after[figure])) ** 2
    return {figure: math.sqrt(square) for figure, square in squares.items()}


def _change(before: float, after: float) -> float:
    if not before or math.isinf(before) or math.isinf(after):
        return 0.0
    return after / before - 1
