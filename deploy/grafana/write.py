"""Writes the dashboards as JSON into deploy/grafana/dashboards, which Grafana reads as they are."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.connected_dashboard import CONNECTED
from deploy.grafana.fanout_dashboard import FANOUT
from deploy.grafana.load_dashboard import LOAD
from deploy.grafana.operations_dashboard import OPERATIONS
from deploy.grafana.panels import Dashboard
from deploy.local.layout import ROOT

DIRECTORY = ROOT / "deploy" / "grafana" / "dashboards"
DASHBOARDS = (CONNECTED, FANOUT, OPERATIONS, LOAD)


def path(dashboard: Dashboard) -> Path:
    return DIRECTORY / f"{dashboard.uid.removeprefix('tidewire-')}.json"


def text(dashboard: Dashboard) -> str:
    """Return the dashboard as Grafana reads it."""
    return json.dumps(dashboard.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for each in DASHBOARDS:
        path(each).write_text(text(each), encoding="utf-8")
        print(f"wrote {path(each).relative_to(ROOT)}, {len(each.panels())} panels")
