"""The objectives of each latency, so that tables and charts show all of them, and 'none' where there is none."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.run import figures
from loadtest.run.objectives import Check
from testkit.svg_charts import number


def objectives_of(figure: str, checks: Sequence[Check]) -> dict[str, float]:
    """Return the limits of a latency by percentile."""
    limits = {each.name: each.limit for each in checks}
    return {
        f"p{percent:g}": limits[name]
        for name, (judged, percent) in figures.JUDGED.items()
        if judged == figure and name in limits
    }


def objective_text(figure: str, checks: Sequence[Check]) -> str:
    """Return the objectives of a latency as a cell of a table."""
    found = objectives_of(figure, checks)
    return ", ".join(f"{percentile} {number(limit)}" for percentile, limit in found.items()) or "none"
