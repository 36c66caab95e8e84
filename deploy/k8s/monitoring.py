"""`make generate`: the files of Prometheus and Grafana as objects for a cluster.

The files in deploy/prometheus/rules and deploy/grafana/dashboards are the source, which compose mounts as they are.
kustomize can make ConfigMaps of files, but no PrometheusRule, and each file must be named.
"""
# ruff: noqa: INP001 - deploy/ is no package

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules"
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
WRITTEN = "# Written by `make generate` from {}; a test keeps it so.\n"


def rules(directory: Path = RULES) -> str:
    """Return a PrometheusRule for each file."""
    objects = [
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": f"tidewire-{path.stem}"},
            "spec": yaml.safe_load(path.read_text(encoding="utf-8")),
        }
        for path in sorted(directory.glob("*.yml"))
    ]
    return WRITTEN.format("deploy/prometheus/rules") + yaml.safe_dump_all(objects, sort_keys=False, width=1000)


def dashboards(directory: Path = DASHBOARDS) -> str:
    """Return the dashboards' kustomization: a ConfigMap for each, with the label that Grafana's sidecar requires."""
    generators = [
        {"name": f"dashboard-{path.stem}", "files": [f"dashboards/{path.name}"]}
        for path in sorted(directory.glob("*.json"))
    ]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "configMapGenerator": generators,
        "generatorOptions": {"disableNameSuffixHash": True, "labels": {"grafana_dashboard": "1"}},
    }
    text = yaml.safe_dump(kustomization, sort_keys=False, width=1000)
    return WRITTEN.format("deploy/grafana/dashboards") + text


FILES = {
    ROOT / "deploy" / "k8s" / "components" / "monitoring" / "rules.yaml": rules,
    ROOT / "deploy" / "grafana" / "kustomization.yaml": dashboards,
}


def main() -> None:
    for path, content in FILES.items():
        path.write_text(content(), encoding="utf-8")


if __name__ == "__main__":
    main()
