"""Builds every overlay with every possible combination of components, from a copy of the manifests."""
# ruff: noqa: INP001, S603 - deploy/ is no package; running kustomize is its purpose

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
# For short runs: garbage collection, on several processors, would take half of the time.
HASTE = {"GOGC": "off", "GOMAXPROCS": "1"}
# As safe as the pure Python loader and ten times as fast, if PyYAML was built with libyaml.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# A combination has at most one entry of each group: two autoscalers of one Deployment, or two entrances, exclude each
# other, and the load test needs no entrance. Blanks join components that must be together.
GROUPS: tuple[tuple[str, ...], ...] = (
    ("", "autoscaling-cpu", "autoscaling-connections"),
    ("", "monitoring"),
    ("", "gateway", "ingress", "loadtest"),
    ("", "network-policies"),
    ("", "deletion-cost"),
    ("", "redis-persistence", "redis-sentinel", "redis-sentinel redis-sentinel-persistence"),
)
# A component that patches another component's objects needs that component.
NEEDS = {"redis-persistence": "redis"}
# The load test has no TLS, which production's cookies require.
ONLY_IN = {"loadtest": "local"}
# Files that must exist while kustomize builds, but that no check reads.
PLACEHOLDERS = (
    *("TIDEWIRE_SECRET_KEY", "TIDEWIRE_DATABASE_URL", "TIDEWIRE_REDIS_URL"),
    *("redis.acl", "redis_replication_password", "TIDEWIRE_REDIS_SENTINEL_PASSWORD"),
    *("postgres_password", "loadtest_password"),
)


def copy(directory: Path) -> Path:
    """Copy the manifests and the files that they use, with placeholders for secrets. Returns deploy/k8s in the copy."""
    for part in ("k8s", "nginx", "grafana"):
        ignored = shutil.ignore_patterns("secrets", "check", "__pycache__")
        shutil.copytree(ROOT / "deploy" / part, directory / "deploy" / part, ignore=ignored)
    secrets = directory / "deploy" / "k8s" / "overlays" / "local" / "secrets"
    secrets.mkdir()
    for name in PLACEHOLDERS:
        (secrets / name).write_text("placeholder", encoding="utf-8")
    return directory / "deploy" / "k8s"


def combinations(manifests: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield (overlay, components that are added to its own)."""
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
    """Return the objects that `kubectl apply -k` would send, with these components added to the overlay's own."""
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
    return [manifest for manifest in yaml.load_all(built.stdout, Loader=LOADER) if manifest]


def _components(path: Path) -> set[str]:
    return {Path(name).name for name in yaml.safe_load(path.read_text(encoding="utf-8")).get("components", [])}
