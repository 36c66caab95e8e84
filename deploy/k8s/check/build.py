"""Builds every overlay with every combination of components that may stand together, from a copy of the manifests."""
# ruff: noqa: INP001, S603 - deploy/ is no package; kustomize is what it runs

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
Objects = list[dict[str, Any]]
# It runs for a moment and ends: collecting garbage, on several processors, would take half of its time.
HASTE = {"GOGC": "off", "GOMAXPROCS": "1"}
# As safe as the other, and ten times as fast, where PyYAML was built with libyaml.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Of each group one or none: two autoscalers of one Deployment, or two ways in, exclude each other, and the load test
# needs no way in. Blanks join those that stand only together.
GROUPS: tuple[tuple[str, ...], ...] = (
    ("", "autoscaling-cpu", "autoscaling-connections"),
    ("", "monitoring"),
    ("", "gateway", "ingress", "loadtest"),
    ("", "network-policies"),
    ("", "deletion-cost"),
    ("", "redis-persistence", "redis-sentinel", "redis-sentinel redis-sentinel-persistence"),
)
# What patches another component's objects can stand only beside it.
NEEDS = {"redis-persistence": "redis"}
# It comes without TLS, which production's cookies want.
ONLY_IN = {"loadtest": "local"}
# What only has to be there while kustomize builds; no check reads it.
PLACEHOLDERS = (
    *("TIDEWIRE_SECRET_KEY", "TIDEWIRE_DATABASE_URL", "TIDEWIRE_REDIS_URL"),
    *("redis.acl", "redis_replication_password", "TIDEWIRE_REDIS_SENTINEL_PASSWORD"),
    *("postgres_password", "loadtest_password"),
)


def copy(directory: Path) -> Path:
    """The manifests and what they read, in `directory`, with placeholders for secrets; returns deploy/k8s there."""
    for part in ("k8s", "nginx", "grafana"):
        ignored = shutil.ignore_patterns("secrets", "check", "__pycache__")
        shutil.copytree(ROOT / "deploy" / part, directory / "deploy" / part, ignore=ignored)
    secrets = directory / "deploy" / "k8s" / "overlays" / "local" / "secrets"
    secrets.mkdir()
    for name in PLACEHOLDERS:
        (secrets / name).write_text("placeholder", encoding="utf-8")
    return directory / "deploy" / "k8s"


def combinations(manifests: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(overlay, the components added to those that it has)."""
    for overlay in sorted(path.name for path in (manifests / "overlays").iterdir()):
        has = _components(manifests / "overlays" / overlay / "kustomization.yaml")
        groups = [("",) if set(group) & has else group for group in GROUPS]
        for chosen in itertools.product(*groups):
            names = tuple(" ".join(chosen).split())
            if all(NEEDS[name] in has for name in names if name in NEEDS) and all(
                ONLY_IN.get(name, overlay) == overlay for name in names
            ):
                yield overlay, names


def build(kustomize: str, manifests: Path, overlay: str, components: tuple[str, ...]) -> Objects:
    """The objects, as `kubectl apply -k` would send them with these components added to the overlay's own."""
    path = manifests / "overlays" / overlay / "kustomization.yaml"
    before = path.read_text(encoding="utf-8")
    overlaid = yaml.safe_load(before)
    overlaid["components"] = [*overlaid.get("components", []), *(f"../../components/{name}" for name in components)]
    path.write_text(yaml.safe_dump(overlaid), encoding="utf-8")
    try:
        built = subprocess.run(
            [kustomize, "build", str(path.parent)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=os.environ | HASTE,
        )
    finally:
        path.write_text(before, encoding="utf-8")
    if built.returncode:
        raise SystemExit(f"{overlay} {' '.join(components)}: {built.stderr}")
    return [found for found in yaml.load_all(built.stdout, Loader=LOADER) if found]


def _components(path: Path) -> set[str]:
    return {Path(name).name for name in yaml.safe_load(path.read_text(encoding="utf-8")).get("components", [])}
