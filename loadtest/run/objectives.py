"""Compares a run's figures with the objectives of a file, and decides whether the run passes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from testkit.delivery_ledger import Kind

OBJECTIVES = Path(__file__).parents[1] / "objectives.toml"


# The objectives that define other ones.
SETTINGS = ("late_seconds", "left_grace_seconds", "answer_seconds")


class ObjectivesError(Exception):
    """The file of objectives has an unknown name, lacks one, or has a value that is no limit."""


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """Limits, all of them the greatest allowed values, in milliseconds and seconds as their names say.

    Those of SETTINGS have no figure: they define the faults.
    """

    lost: int
    missed: int
    left_grace_seconds: float
    duplicated: int
    reordered: int
    late: int
    late_seconds: float
    forgotten: int
    unpublished: int
    deaf: int
    answer_seconds: float
    delivery_p95_ms: float
    delivery_p99_ms: float
    page_p95_ms: float
    page_p99_ms: float
    login_p95_ms: float
    handshake_p95_ms: float
    subscribe_p95_ms: float
    resume_p95_ms: float
    count_p95_ms: float
    failed_requests: int
    server_errors: int
    count_disagreements: int
    unaccounted_users: int
    unexplained: int
    services_ended: int
    generator_cpu_share: float
    generator_lag_ms: float

    @classmethod
    def read(cls, path: Path = OBJECTIVES) -> Objectives:
        """Read a file of objectives. Raises `ObjectivesError` with the names that are unknown or missing."""
        limits = tomllib.loads(path.read_text(encoding="utf-8"))
        known = {each.name for each in fields(cls)}
        if wrong := known.symmetric_difference(limits):
            raise ObjectivesError(f"{path}: unknown or missing: {', '.join(sorted(wrong))}")
        for name, limit in limits.items():
            if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit >= 0:
                raise ObjectivesError(f"{path}: {name} must be a number of at least 0, and is {limit!r}")
        return cls(**limits)


@dataclass(frozen=True, slots=True)
class Check:
    """An objective and its figure. `passed` is None if the run has no such figure."""

    name: str
    limit: float
    value: float | None
    passed: bool | None


def check(objectives: Objectives, figures: Mapping[str, float | None], counts: Mapping[Kind, int]) -> list[Check]:
    """Compare all objectives with their figures. Faults that did not occur are 0; an unmeasured latency is no pass."""
    checks = [_compare(kind.value, getattr(objectives, kind.value), float(counts.get(kind, 0))) for kind in Kind]
    for each in fields(objectives):
        if each.name in {*Kind, *SETTINGS}:
            continue
        checks.append(_compare(each.name, getattr(objectives, each.name), figures.get(each.name)))
    return checks


def broken(objectives: Objectives, values: Mapping[str, float]) -> list[str]:
    """Return the objectives that these figures break, each as a sentence."""
    compared = [
        _compare(each.name, getattr(objectives, each.name), values.get(each.name))
        for each in fields(objectives)
        if each.name not in SETTINGS
    ]
    return [f"{c.name} was {c.value:,.4g}, {c.limit:,.4g} allowed" for c in compared if c.passed is False]


def _compare(name: str, limit: float, value: float | None) -> Check:
    return Check(name, limit, value, None if value is None else value <= limit)


def passed(checks: list[Check]) -> bool:
    """Return whether no objective failed. An unmeasured figure must be shown as such, and fails nothing."""
    return all(each.passed is not False for each in checks)
