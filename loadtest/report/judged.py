"""The objectives of each latency, so that tables and charts show all of them, and 'none' where there is none."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.run import figures
from loadtest.run.objectives import Check
from testkit.svg_charts import number

# The first word of the names of a figure's objectives, such as `delivery_p95_ms`; others begin with the figure's name.
WORDS = {figures.DELIVERY: "delivery", figures.COUNT: "count"}
PERCENTILES = ("p50", "p95", "p99", "p99_9")


def objectives_of(figure: str, checks: Sequence[Check]) -> dict[str, float]:
    """Return the limits of a latency by percentile."""
    limits = {each.name: each.limit for each in checks}
    word = WORDS.get(figure, figure)
    return {
        percentile.replace("_", "."): limits[name]
        for percentile in PERCENTILES
        if (name := f"{word}_{percentile}_ms") in limits
    }


def objective_text(figure: str, checks: Sequence[Check]) -> str:
    """Return the objectives of a latency as a cell of a table."""
    found = objectives_of(figure, checks)
    return ", ".join(f"{percentile} {number(limit)}" for percentile, limit in found.items()) or "none"
