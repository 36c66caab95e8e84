"""The plot of a soak: one panel for each kind of series, the warm-up shaded, each line named at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from testkit.plot_style import GRID, INK, OTHER, OURS, STYLE, save

PANELS = (
    ("RSS", "RSS of each ws process, MiB"),
    ("Redis memory", "Redis's used memory, MiB"),
    ("file descriptors", "open file descriptors of each ws process"),
    ("tasks", "asyncio tasks of each ws process"),
)
Series = Mapping[str, Sequence[tuple[float, float]]]


def draw(series: Series, *, warm_up_seconds: float, title: str, path: Path) -> None:
    """Write the plot. Times are seconds since the start."""
    with mpl.rc_context(STYLE):
        figure, panels = plt.subplots(2, 2, figsize=(10.5, 6.0), sharex=True)
        for axes, (kind, heading) in zip(panels.flat, PANELS, strict=True):
            _panel(axes, {name: each for name, each in series.items() if name.endswith(kind)}, warm_up_seconds)
            axes.set_title(heading, loc="left", fontsize=9)
        for axes in panels[1]:
            axes.set_xlabel("minutes")
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        figure.tight_layout()
        save(figure, path)


def _panel(axes: Any, series: Series, warm_up_seconds: float) -> None:
    axes.axvspan(0, warm_up_seconds / 60, color=GRID, alpha=0.5, linewidth=0)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    for (name, samples), colour in zip(sorted(series.items()), (OURS, OTHER, INK), strict=False):
        axes.plot([at / 60 for at, _ in samples], [value for _, value in samples], color=colour, linewidth=1.2)
        at, value = samples[-1]
        axes.annotate(
            name.partition(" ")[0], (at / 60, value), (4, 0), textcoords="offset points", fontsize=8, color=colour
        )
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
