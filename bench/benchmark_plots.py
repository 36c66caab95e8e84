"""The plots of docs/benchmarks: few colours, numbers beside the marks, no legend that repeats them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

from bench.compared_servers import Server
from bench.spread import Spread
from bench.tables import Run, number
from testkit.plot_style import GRID, INK, OTHER, OURS, STOCK, STYLE, save

Draw = Callable[[Any, float, Server, int], None]


def draw_all(run: Run, directory: Path, *, suffix: str = "svg") -> list[Path]:
    """Draw every plot for which the run has records."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    with mpl.rc_context(STYLE):
        for name, draw in (("cpu", draw_cpu), ("latency", draw_latency), ("connections", draw_connections)):
            figure = draw(run)
            if figure is None:
                continue
            paths.append(save(figure, directory / f"{name}.{suffix}"))
    return paths


def colour(server: Server) -> str:
    if server.name.startswith("tidewire"):
        return OURS
    return STOCK if server.publisher == "layer" else OTHER


def draw_cpu(run: Run) -> Any:
    """Server CPU per delivery: filled for single events, open for bursts of ten."""

    def draw(axes: Any, row: float, server: Server, clients: int) -> None:
        for mode, offset in (("single", 0.14), ("burst", -0.2)):
            spread = run.spread("fanout", server.name, "cpu_us", clients=clients, mode=mode)
            if spread:
                _dot(axes, row + offset, spread, colour(server), filled=mode == "single")

    title = "Server CPU per delivery, microseconds (logarithmic): filled, single events; open, bursts of ten"
    return _by_clients(run, title, draw)


def draw_latency(run: Run) -> Any:
    """Latency of single events: p50, p99 and p99.9 on one line."""

    def draw(axes: Any, row: float, server: Server, clients: int) -> None:
        values = [
            run.median("fanout", server.name, f"latency_ms.{quantile}", clients=clients, mode="single")
            for quantile in ("p50", "p99", "p999")
        ]
        if None in values:
            return
        p50, p99, p999 = values
        axes.plot([p50, p999], [row, row], color=colour(server), linewidth=1.4, alpha=0.55, zorder=2)
        axes.plot([p50], [row], "o", markersize=6, color=colour(server), markerfacecolor="white", zorder=3)
        axes.plot([p99], [row], "o", markersize=6, color=colour(server), zorder=3)
        axes.plot([p999], [row], "|", markersize=9, color=colour(server), zorder=3)
        axes.annotate(
            number(p99 or 0.0), (p99, row), (0, 6), textcoords="offset points", ha="center", fontsize=7.5, color=INK
        )

    title = "Latency of single events, milliseconds (logarithmic): open, p50; filled, p99 with its number; bar, p99.9"
    return _by_clients(run, title, draw)


def draw_connections(run: Run) -> Any:
    """The memory and the cost of a connection, bare and authenticated."""
    servers = run.servers("idle")
    if not servers:
        return None
    figure, panels = plt.subplots(1, 2, figsize=(10.5, 0.56 * len(servers) + 1.3), sharey=True)
    shown = (("rss_bytes", 1 / 1024, "RSS of an idle connection, KiB"), ("connect_cpu_ms", 1, "CPU of a connect, ms"))
    for axes, (value, scale, title) in zip(panels, shown, strict=True):
        for row, server in enumerate(reversed(servers)):
            for variant, offset in (("bare", 0.28), ("session", 0.0), ("ticket", -0.28)):
                spread = run.spread("idle", server.name, value, variant=variant)
                if spread:
                    scaled = Spread(spread.median * scale, spread.least * scale, spread.most * scale, spread.rounds)
                    word = "" if variant == "bare" else f"  {variant}"
                    _dot(axes, row + offset, scaled, colour(server), filled=variant != "bare", word=word)
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_xlim(left=0)
        axes.margins(x=0.25)
        axes.autoscale(axis="x")
        axes.set_xlim(left=0)
        _rows(axes, servers)
    figure.suptitle("Open: bare connection; filled: authenticated", x=0.01, ha="left", fontsize=10)
    figure.tight_layout()
    return figure


def _by_clients(run: Run, title: str, draw: Draw) -> Any:
    servers, columns = run.servers("fanout"), run.clients("fanout")
    if not servers:
        return None
    figure, panels = plt.subplots(
        1,
        len(columns),
        figsize=(3.5 * len(columns) + 1.2, 0.42 * len(servers) + 1.3),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for axes, clients in zip(panels[0], columns, strict=True):
        for row, server in enumerate(reversed(servers)):
            draw(axes, row, server, clients)
        axes.set_xscale("log")
        axes.margins(x=0.12)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title(f"{clients:,} clients", loc="left", fontsize=9)
        _rows(axes, servers)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    figure.tight_layout()
    return figure


def _dot(axes: Any, row: float, spread: Spread, shade: str, *, filled: bool, word: str = "") -> None:
    axes.plot([spread.least, spread.most], [row, row], color=shade, linewidth=1.4, alpha=0.55, zorder=2)
    axes.plot([spread.median], [row], "o", markersize=5.5, color=shade, markerfacecolor=shade if filled else "white")
    axes.annotate(
        f"{number(spread.median)}{word}",
        (spread.most, row),
        (6, 0),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        color=INK,
    )


def _rows(axes: Any, servers: Sequence[Server]) -> None:
    axes.set_yticks(range(len(servers)), [server.label for server in reversed(servers)])
    axes.set_ylim(-0.6, len(servers) - 0.4)
    axes.grid(axis="x", color=GRID, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
