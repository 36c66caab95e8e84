"""The plots of a plan: the use of each resource up to a million users, and open sockets during incidents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter

from capacity.model import Plan
from capacity.simulate import Outcome
from testkit.plot_style import GRID, OTHER, OURS, STOCK, STYLE, save

COLOURS = (OURS, STOCK, OTHER, "#30638e", "#6a4c93", "#edae49", "#8cb369", "#00798c", "#8d5524", "#c77dff")


def draw(plans: Sequence[Plan], outcomes: Sequence[Outcome], directory: Path) -> list[Path]:
    """Draw all plots; `plans` are of one workload for rising numbers of users."""
    directory.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        paths = [_growth(plans, directory / "growth.svg")]
        if outcomes:
            paths.append(_incidents(outcomes, directory / "incidents.svg"))
    return paths


def _growth(plans: Sequence[Plan], path: Path) -> Path:
    figure, (above, below) = plt.subplots(2, 1, figsize=(7.5, 6.5), sharex=True)
    users = [plan.users for plan in plans]
    for i, load in enumerate(plans[0].loads):
        shares = [plan.loads[i].share * 100 for plan in plans]
        finite = [share if math.isfinite(share) else math.nan for share in shares]
        above.plot(users, finite, color=COLOURS[i % len(COLOURS)], label=load.resource, linewidth=1.6)
    above.axhline(plans[0].max_utilization * 100, color=STOCK, linestyle="--", linewidth=1)
    above.set_ylabel("full, %")
    above.set_ylim(0, 120)
    above.legend(fontsize=7, frameon=False, ncol=2, loc="upper left")
    below.plot(users, [plan.nodes for plan in plans], color=OURS, label="ws nodes")
    below.plot(users, [plan.web_processes for plan in plans], color=OTHER, label="web processes")
    below.set_ylabel("processes")
    below.set_xlabel("users")
    below.legend(fontsize=8, frameon=False)
    for axes in (above, below):
        axes.set_xscale("log")
        axes.grid(color=GRID, linewidth=0.6)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,.0f}"))
    return save(figure, path)


def _incidents(outcomes: Sequence[Outcome], path: Path) -> Path:
    figure, all_axes = plt.subplots(len(outcomes), 1, figsize=(7.5, 2.3 * len(outcomes)), squeeze=False)
    for axes, outcome, colour in zip(all_axes[:, 0], outcomes, COLOURS, strict=False):
        seconds = [second for second, _ in outcome.open_sockets]
        axes.step(seconds, [share * 100 for _, share in outcome.open_sockets], where="post", color=colour)
        axes.set_title(outcome.name, loc="left", fontsize=9)
        axes.set_ylabel("open, %")
        # If few sockets are missing at any moment, the whole scale would show a straight line.
        axes.set_ylim(0 if outcome.worst_open < 0.9 else outcome.worst_open * 100 - 0.2, None)
        axes.grid(color=GRID, linewidth=0.6)
    all_axes[-1, 0].set_xlabel("seconds")
    figure.tight_layout()
    return save(figure, path)
