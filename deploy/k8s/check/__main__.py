"""`make k8s-check`: builds all manifests, and checks them against schemas and programs; needs no cluster."""
# ruff: noqa: INP001, T201 - deploy/ is no package; it talks to a person at a terminal

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from deploy.k8s.check import build, combination, policies, schemas

Combination = tuple[str, tuple[str, ...]]


def main() -> int:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        combinations = list(build.combinations(build.copy(Path(directory, "all"))))
        built, different, wrong = _check_all(combinations, Path(directory))
        checked, unchecked = _check_schemas(different, wrong)
        passed = _check_policies([json.loads(each) for each in different], Path(directory), wrong)
    for problem, count in sorted(wrong.items()):
        print(f"{problem} ({count} of {len(combinations)} combinations)", file=sys.stderr)
    print(
        f"k8s-check: {len(combinations)} combinations, {built} objects, {len(different)} different ones against "
        f"{checked} strict schemas (Kubernetes {', '.join(schemas.VERSIONS)}), "
        f"{passed} policy checks passed, {len(policies.EXCEPTIONS)} exceptions, "
        f"{len(wrong)} problems, {time.monotonic() - started:.0f} s"
    )
    if unchecked:
        print(f"k8s-check: no schema for {', '.join(sorted(unchecked))}; CRD_SCHEMAS=folder names some")
    return 1 if wrong else 0


def _check_all(combinations: list[Combination], directory: Path) -> tuple[int, set[str], Counter[str]]:
    """Run `_check` on all processors. Most objects are the same in most combinations."""
    many = os.cpu_count() or 1
    parts = [combinations[start::many] for start in range(many)]
    built, different, wrong = 0, set[str](), Counter[str]()
    with ProcessPoolExecutor(many) as processes:
        for some in processes.map(_check, (directory / str(i) for i in range(many)), parts):
            built += some[0]
            different |= some[1]
            wrong += some[2]
    return built, different, wrong


def _check(directory: Path, part: list[Combination]) -> tuple[int, set[str], Counter[str]]:
    """Build some of the combinations. Returns the number of objects, the distinct ones as JSON, and their faults."""
    # In a separate copy, because a build changes its overlay's file for a moment.
    manifests = build.copy(directory)
    built, different, wrong = 0, set[str](), Counter[str]()
    for overlay, components in part:
        objects = build.build(os.environ.get("KUSTOMIZE", "kustomize"), manifests, overlay, components)
        built += len(objects)
        different.update(json.dumps(manifest, sort_keys=True) for manifest in objects)
        wrong.update(combination.problems(objects, overlay))
    return built, different, wrong


def _check_schemas(different: set[str], wrong: Counter[str]) -> tuple[int, set[str]]:
    """Return the number of schemas that were applied, and the kinds without a schema."""
    folder = os.environ.get("CRD_SCHEMAS")
    count, unchecked = 0, set()
    for each in different:
        manifest = json.loads(each)
        violations, applied = schemas.violations(manifest, Path(folder) if folder else None)
        wrong.update(violations)
        count += applied
        if not applied:
            unchecked.add(f"{manifest['apiVersion']} {manifest['kind']}")
    return count, unchecked


def _check_policies(objects: list[dict[str, Any]], directory: Path, wrong: Counter[str]) -> int:
    folder = os.environ.get("POLICIES", "")
    if reason := policies.why_not(folder):
        print(f"k8s-check: no policies: {reason}")
        return 0
    # Secrets are left out: the policies only find values that look secret, and these are placeholders.
    problems, passed = policies.problems([each for each in objects if each["kind"] != "Secret"], directory, folder)
    wrong.update(problems)
    return passed


if __name__ == "__main__":
    sys.exit(main())
