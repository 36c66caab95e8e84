"""`python -m deploy.k8s.check.crds FOLDER`: schemas of the custom resources, from the Go modules that define them.

Go verifies its proxy's downloads with a public log of checksums, so no copy of the files must be kept here.
"""
# ruff: noqa: INP001, S603, S607 - deploy/ is no package; go may be anywhere in PATH

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

# The files of each module that the components use.
MODULES = {
    "github.com/kedacore/keda/v2@v2.20.2": ("config/crd/bases/keda.sh_scaledobjects.yaml",),
    "sigs.k8s.io/gateway-api@v1.4.1": ("config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",),
    "github.com/prometheus-operator/prometheus-operator@v0.91.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
}


def main(folder: Path) -> None:
    for module, files in MODULES.items():
        download = subprocess.run(
            ["go", "mod", "download", "-json", module], capture_output=True, text=True, check=False
        )
        if download.returncode:
            raise SystemExit(f"crds: {module}: {download.stdout[-500:]}{download.stderr[-500:]}")
        for file in files:
            definition = Path(json.loads(download.stdout)["Dir"], file)
            write(yaml.safe_load(definition.read_text(encoding="utf-8")), folder)


def write(definition: dict[str, Any], folder: Path) -> None:
    """Write a file GROUP/KIND_VERSION.json for each version, as `schemas` expects."""
    spec = definition["spec"]
    group = folder / spec["group"]
    group.mkdir(parents=True, exist_ok=True)
    for version in spec["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        path = group / f"{spec['names']['kind'].lower()}_{version['name']}.json"
        path.write_text(json.dumps(schema), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
