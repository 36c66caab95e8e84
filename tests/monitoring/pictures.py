"""Pictures of the main panels for the documentation: the panels' own queries, drawn without Grafana."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from deploy.grafana.panels import Dashboard, Panel
from tests.monitoring.monitored_users import substituted
from tests.monitoring.watched import Watched

# The four most informative panels of each dashboard.
MAIN = {
    "tidewire-connected": ("People, today and yesterday", "Sockets by node", "Connects by result", "Closes by code"),
    "tidewire-fanout": ("Published", "Delivered", "Publish to socket", "Resumes"),
    "tidewire-operations": ("Up", "Event loop lag", "Redis: errors and stale nodes", "Pages by status"),
}
WINDOW = "5s"
# More lines than this are unreadable in a picture.
LINES = 8


def draw(eyes: Watched, dashboard: Dashboard, directory: Path, *, seconds: float) -> Path:
    """Draw the main panels of a dashboard over the last `seconds`, and return the path of the picture."""
    import matplotlib as mpl  # noqa: PLC0415 - only where `make bench` or `make test TIER=monitoring` installed it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    by_title = {panel.title: panel for panel in dashboard.panels()}
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "t"}):
        figure, axes = plt.subplots(2, 2, figsize=(10, 5.5), layout="constrained")
        figure.suptitle(dashboard.title)
        for axis, title in zip(axes.flat, MAIN[dashboard.uid], strict=True):
            _panel(axis, eyes, by_title[title], seconds)
        path = directory / f"{dashboard.uid.removeprefix('tidewire-')}.svg"
        directory.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None}, facecolor="white")
        plt.close(figure)
    return path


def _panel(axis: Any, eyes: Watched, panel: Panel, seconds: float) -> None:
    end = time.time()
    for expr, legend in panel.queries:
        for series in eyes.query_range(substituted(expr, window=WINDOW), seconds)[:LINES]:
            # Use the same times for all lines, with gaps for missing values.
            values = {round(at - end): float(value) for at, value in series["values"]}
            points = [(at, values.get(at, math.nan)) for at in range(-int(seconds), 1)]
            label = legend
            for name, value in series["metric"].items():
                label = label.replace(f"{{{{{name}}}}}", value)
            axis.plot(*zip(*points, strict=True), linewidth=1, label=label)
    axis.set_title(panel.title)
    axis.set_xlim(-seconds, 0)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("seconds before the end")
    axis.set_ylabel({"s": "seconds", "cps": "a second", "reqps": "a second"}.get(panel.unit, ""))
    axis.grid(color="#d9dee2", linewidth=0.5)
    axis.legend(fontsize=6, frameon=False)
