"""Medians over rounds from a run's records, for tables, plots and targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.compared_servers import SERVERS, Server
from bench.results import Record
from bench.spread import Spread

FAULTS = ("lost", "duplicated", "reordered")


class Run:
    """The records of a run, and queries on them."""

    def __init__(self, results: dict[str, Any]) -> None:
        self.about: dict[str, Any] = results["about"]
        self.skipped: dict[str, str] = results["skipped"]
        self.records: list[Record] = results["records"]

    def select(self, measure: str, server: str | None = None, **wanted: object) -> list[Record]:
        """Return a measure's records that did not fail and have these values."""
        return [
            record
            for record in self.records
            if record["measure"] == measure
            and (server is None or record["server"] == server)
            and "error" not in record
            and all(record.get(name) == value for name, value in wanted.items())
        ]

    def spread(self, measure: str, server: str, value: str, **wanted: object) -> Spread | None:
        """Return the median of a value, `latency_ms.p99` if nested, or None if nothing was measured."""
        values = [_value(record, value) for record in self.select(measure, server, **wanted)]
        # A server that delivered nothing has no cost of a delivery.
        numbers = [number for number in values if number is not None and math.isfinite(number)]
        return Spread.of(numbers) if numbers else None

    def median(self, measure: str, server: str, value: str, **wanted: object) -> float | None:
        spread = self.spread(measure, server, value, **wanted)
        return spread.median if spread else None

    def total(self, measure: str, server: str, value: str) -> int:
        return sum(int(record.get(value, 0)) for record in self.select(measure, server))

    def clients(self, measure: str) -> list[int]:
        return sorted({record["clients"] for record in self.select(measure)})

    def servers(self, measure: str) -> list[Server]:
        """Return the servers that were measured, in the order of the tables."""
        there = {record["server"] for record in self.select(measure)}
        return [server for server in SERVERS if server.name in there]

    def errors(self) -> list[Record]:
        return [record for record in self.records if "error" in record]


def _value(record: Record, path: str) -> float | None:
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return None if value is None else float(value)


def number(value: float, digits: int | None = None) -> str:
    """Return a number for people to read: with three significant digits, unless `digits` is given."""
    if digits is None:
        digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def cell(spread: Spread | None, scale: float = 1.0) -> str:
    """Return `12.3 (11.8-13.0)`, or a dash if nothing was measured."""
    if spread is None:
        return "-"
    if spread.rounds == 1:
        return number(spread.median * scale)
    return f"{number(spread.median * scale)} ({number(spread.least * scale)}-{number(spread.most * scale)})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    lines = [list(head), ["---", *["---:"] * (len(head) - 1)], *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
