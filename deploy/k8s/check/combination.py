"""All checks of a combination as a whole; schemas and policies check each object alone."""
# ruff: noqa: INP001 - deploy/ is no package

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy.k8s.check import cluster_budget, configuration, load_jobs, references, running, stateful


def problems(objects: list[dict[str, Any]], overlay: str) -> Iterator[str]:
    yield from references.problems(objects)
    yield from configuration.problems(objects, overlay)
    yield from running.problems(objects)
    yield from load_jobs.problems(objects)
    yield from stateful.problems(objects)
    yield from cluster_budget.problems(objects)
