"""checkov's policies for Kubernetes over every distinct object, with each exception and its reason."""
# ruff: noqa: INP001, S603 - deploy/ is no package; running checkov is its purpose

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

EVERYWHERE = ("",)
# For each policy, the names of the objects that are exempt from it, and the reason. An unused exception is a problem.
EXCEPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "CKV_K8S_11": (
        EVERYWHERE,
        "a limit of processor time throttles a node in the middle of a fan-out; requests share it",
    ),
    "CKV_K8S_15": (EVERYWHERE, "images are tagged by version and never overwritten; a registry away must stop no pod"),
    "CKV_K8S_43": (EVERYWHERE, "digests are an installation's: `images` of its overlay may name them"),
    "CKV_K8S_40": (("nginx", "redis", "redis-sentinel", "postgres"), "the users that these public images are made for"),
    "CKV_K8S_8": (
        ("relay", "postgres", "deletion-cost"),
        "they end when they fail; a probe would only ask if they run",
    ),
    "CKV_K8S_9": (("relay", "deletion-cost"), "nobody connects to them, so there is nothing to be ready for"),
    "CKV_K8S_38": (("deletion-cost",), "the one that talks to the API server, with a role of two verbs"),
}


def why_not(folder: str) -> str:
    return "" if (Path(folder) / "checkov").is_dir() else f"POLICIES={folder} has no checkov"


def problems(objects: Iterable[Mapping[str, Any]], directory: Path, folder: str) -> tuple[list[str], int]:
    """Return checkov's findings without an exception, the unused exceptions, and the number of passed checks."""
    file = directory / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    results = _run(file, folder)
    failed = [(each["check_id"], each["resource"], each["check_name"]) for each in results["results"]["failed_checks"]]
    wrong = [f"{resource}: {name} ({check})" for check, resource, name in failed if not _excepted(check, resource)]
    needed = {check for check, *_ in failed}
    wrong.extend(f"policies: nothing needs the exception of {check}" for check in EXCEPTIONS if check not in needed)
    return wrong, results["summary"]["passed"]


def _excepted(check: str, resource: str) -> bool:
    """Return whether an exception applies. `resource` is Kind.namespace.name, then labels for pods of a template."""
    names, _reason = EXCEPTIONS.get(check, ((), ""))
    return names == EVERYWHERE or resource.split(".")[2] in names


def _run(file: Path, folder: str) -> dict[str, Any]:
    options = ("--framework", "kubernetes", "--compact", "--quiet", "--output", "json", "--skip-download")
    done = subprocess.run(
        [sys.executable, "-m", "checkov.main", "--file", str(file), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        # checkov has other requirements than the project. Without the variable it contacts its vendor's server.
        env=os.environ | {"PYTHONPATH": folder, "BC_SKIP_MAPPING": "TRUE"},
    )
    if not done.stdout.startswith("{"):
        raise SystemExit(f"checkov: {done.stdout[-500:]}{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
