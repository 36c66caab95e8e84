"""The style of plots by matplotlib: few colours, and no date in a file, which changes only if its figures do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

STOCK, OTHER, OURS = "#b3541e", "#5b6770", "#0b7a75"
INK, GRID = "#22272b", "#d9dee2"
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "svg.hashsalt": "tidewire",
}


def save(figure: Any, path: Path) -> Path:
    """Write a figure to a file, by the file's suffix, and return the path."""
    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, metadata=metadata, bbox_inches="tight", facecolor="white", dpi=150)
    plt.close(figure)
    return path
