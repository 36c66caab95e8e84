"""`make k8s-check`: builds everything, holds it against schemas and against the programs; no cluster needed."""
# ruff: noqa: INP001, T201 - deploy/ is no package; it talks to a person at a terminal

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from deploy.k8s.check import build, policies, references, running, schemas


def main() -> int:
    started = time.monotonic()
    folder = os.environ.get("CRD_SCHEMAS")
    kustomize = os.environ.get("KUSTOMIZE", "kustomize")
    wrong: Counter[str] = Counter()
    checked: dict[str, int] = {}
    unchecked: set[str] = set()
    built = 0
    with tempfile.TemporaryDirectory() as directory:
        manifests = build.copy(Path(directory))
        combinations = list(build.combinations(manifests))
        for overlay, components in combinations:
            objects = build.build(kustomize, manifests, overlay, components)
            built += len(objects)
            wrong.update(references.problems(objects, overlay))
            wrong.update(running.problems(objects))
            for found in objects:
                # Most objects are the same in most combinations.
                key = json.dumps(found, sort_keys=True)
                if key not in checked:
                    said, checked[key] = schemas.violations(found, Path(folder) if folder else None)
                    wrong.update(said)
                    if not checked[key]:
                        unchecked.add(f"{found['apiVersion']} {found['kind']}")
        passed = _hold_against_policies([json.loads(key) for key in checked], Path(directory), wrong)
    for problem, count in sorted(wrong.items()):
        print(f"{problem} ({count} of {len(combinations)} combinations)", file=sys.stderr)
    print(
        f"k8s-check: {len(combinations)} combinations, {built} objects, {len(checked)} different ones against "
        f"{sum(checked.values())} strict schemas (Kubernetes {', '.join(schemas.VERSIONS)}), "
        f"{passed} policy checks passed, {len(policies.EXCEPTIONS)} exceptions, "
        f"{len(wrong)} problems, {time.monotonic() - started:.0f} s"
    )
    if unchecked:
        print(f"k8s-check: no schema for {', '.join(sorted(unchecked))}; CRD_SCHEMAS=folder names some")
    return 1 if wrong else 0


def _hold_against_policies(objects: list[dict[str, Any]], directory: Path, wrong: Counter[str]) -> int:
    folder = os.environ.get("POLICIES", "")
    if reason := policies.why_not(folder):
        print(f"k8s-check: no policies: {reason}")
        return 0
    # Secrets have nothing that it looks at but values that look secret, and these are placeholders.
    said, passed = policies.problems([each for each in objects if each["kind"] != "Secret"], directory, folder)
    wrong.update(said)
    return passed


if __name__ == "__main__":
    sys.exit(main())
