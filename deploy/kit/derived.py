"""The templates of files that `make generate` writes: the dashboards, and the rules as objects of Kubernetes.

They are whole for each kind of project, because a change in their sources changes many of their lines.
"""
# ruff: noqa: INP001 - deploy/ is no package; found from the root

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from deploy.k8s import monitoring

ROOT = Path(__file__).resolve().parents[2]
RULES = "deploy/prometheus/rules/"
DASHBOARDS = "deploy/grafana/dashboards/"
RULE_OBJECTS = "deploy/k8s/components/monitoring/rules.yaml"
DASHBOARD_OBJECTS = "deploy/grafana/kustomization.yaml"
# The projects that get a file: the load test's figures are of this repository's, and the fan-out's of topics.
ONLY = {f"{DASHBOARDS}load.json": "product", f"{DASHBOARDS}fanout.json": "outbox"}
# Metrics that a project without topics and outbox has none of.
OF_TOPICS = ("tidewire_users", "tidewire:users", "outbox", "relay_")
ENVIRONMENT = jinja2.Environment(
    variable_start_string="[[",
    variable_end_string="]]",
    block_start_string="[%",
    block_end_string="%]",
    comment_start_string="[#",
    comment_end_string="#]",
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - no page
)
KINDS = (
    {"product": True, "outbox": True},
    {"product": False, "outbox": True},
    {"product": False, "outbox": False},
)


def files(templates: Mapping[str, str]) -> dict[str, str]:
    """Return the derived templates by their paths; `templates` has those of the rules."""
    derived = {RULE_OBJECTS: _each(*(_rules(templates, kind) for kind in KINDS))}
    derived[DASHBOARD_OBJECTS] = _each(*(_dashboards(kind) for kind in KINDS))
    for path in sorted((ROOT / DASHBOARDS).glob("*.json")):
        text = path.read_text(encoding="utf-8")
        # The route of a page may have no name; of this repository's pages each has one, and probes have none.
        theirs = text.replace(r"view!~\"unnamed|none\"", r"view!=\"none\"").replace("Failed saves", "Failed POSTs")
        derived[f"{DASHBOARDS}{path.name}"] = _each(text, theirs, _without_topics(theirs))
    return derived


def _each(product: str, outbox: str, plain: str) -> str:
    return f"[% if product %]{product}[% elif outbox %]{outbox}[% else %]{plain}[% endif %]"


def _rules(templates: Mapping[str, str], kind: Mapping[str, bool]) -> str:
    with tempfile.TemporaryDirectory() as directory:
        for name, text in templates.items():
            if name.startswith(RULES):
                rendered = ENVIRONMENT.from_string(text).render(kind)
                Path(directory, Path(name).name).write_text(rendered, encoding="utf-8")
        return monitoring.rules(Path(directory))


def _dashboards(kind: Mapping[str, bool]) -> str:
    with tempfile.TemporaryDirectory() as directory:
        for path in (ROOT / DASHBOARDS).glob("*.json"):
            if kind.get(ONLY.get(f"{DASHBOARDS}{path.name}", ""), True):
                Path(directory, path.name).touch()
        return monitoring.dashboards(Path(directory))


def _without_topics(text: str) -> str:
    dashboard = json.loads(text.replace("|relay", ""))
    dashboard["panels"] = [panel for panel in dashboard["panels"] if not _is_of_topics(panel)]
    return json.dumps(dashboard, indent=1, sort_keys=True) + "\n"


def _is_of_topics(panel: Mapping[str, Any]) -> bool:
    return any(word in query["expr"] for query in panel.get("targets", ()) for word in OF_TOPICS)
