"""Line charts as inline SVG: few colours, names at the ends of lines, no files to load. Independent of runs."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, BOTTOM = 48, 136, 24, 26
COLOURS = ("#0b7a75", "#d1495b", "#edae49", "#30638e", "#6a4c93", "#7a8b99", "#8cb369", "#00798c")
# Names closer than this would overlap.
NAME_HEIGHT = 13.0
LETTER_WIDTH = 7.0


@dataclass(frozen=True)
class Line:
    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Band:
    """A named stretch of the x axis."""

    name: str
    start: float
    end: float


def ticks(most: float, count: int = 4) -> list[float]:
    """Return round values from 0 to at least `most`."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / count
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(step * magnitude for step in (1, 2, 2.5, 5, 10) if step * magnitude >= rough * (1 - 1e-9))
    return [step * i for i in range(math.ceil(most / step - 1e-9) + 1)]


def chart(
    lines: Sequence[Line],
    *,
    unit: str,
    x_ticks: Sequence[tuple[float, str]],
    bands: Sequence[Band] = (),
    limit: tuple[str, float] | None = None,
) -> str:
    """Return an SVG element. `limit` is the name and the level of a dashed line."""
    lines = [line for line in lines if line.points]
    if not lines:
        return '<p class="none">Nothing was measured.</p>'
    xs = [x for line in lines for x, _ in line.points] + [x for x, _ in x_ticks]
    highest = max(y for line in lines for _, y in line.points)
    shown_limit = limit if limit and limit[1] <= highest * 4 else None
    # Room above the limit for its name.
    levels = ticks(max(highest, shown_limit[1] * 1.1 if shown_limit else 0.0))
    low = min(xs)
    high = max(*xs, low + 1e-9)

    def x_at(x: float) -> float:
        return LEFT + (x - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y_at(y: float) -> float:
        return HEIGHT - BOTTOM - y / levels[-1] * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">']
    parts += _bands(bands, x_at)
    for level in levels:
        y = y_at(level)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{number(level)}</text>')
    parts.append(f'<text class="unit" x="{LEFT - 6}" y="{TOP - 11}" text-anchor="end">{html.escape(unit)}</text>')
    for x, text in x_ticks:
        parts.append(f'<text class="tick" x="{x_at(x):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{text}</text>')
    if shown_limit:
        y = y_at(shown_limit[1])
        parts.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        where = f'x="{WIDTH - RIGHT - 4}" y="{y - 4:.1f}" text-anchor="end"'
        parts.append(f'<text class="limit-name" {where}>{html.escape(shown_limit[0])}</text>')
    parts += _lines(lines, x_at, y_at)
    return "".join([*parts, "</svg>"])


def _bands(bands: Sequence[Band], x_at: Callable[[float], float]) -> list[str]:
    parts = []
    for index, band in enumerate(bands):
        start, end = x_at(band.start), x_at(band.end)
        shade = " odd" if index % 2 else ""
        size = f'x="{start:.1f}" y="{TOP}" width="{max(0.0, end - start):.1f}" height="{HEIGHT - TOP - BOTTOM}"'
        name = html.escape(band.name)
        parts.append(f'<rect class="band{shade}" {size}><title>{name}</title></rect>')
        if end - start >= LETTER_WIDTH * len(band.name):
            parts.append(f'<text class="band-name" x="{start + 4:.1f}" y="{TOP - 11}">{name}</text>')
    return parts


def _lines(lines: Sequence[Line], x_at: Callable[[float], float], y_at: Callable[[float], float]) -> list[str]:
    parts = []
    ends = sorted((y_at(line.points[-1][1]), index) for index, line in enumerate(lines))
    places: dict[int, float] = {}
    lowest = -math.inf
    for y, index in ends:
        lowest = places[index] = max(y, lowest + NAME_HEIGHT)
    # Names pushed below the axis move up together.
    too_low = max(0.0, lowest - (HEIGHT - BOTTOM))
    for index, line in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        points = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in line.points)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.8" points="{points}"/>')
        y = places[index] - too_low + 3.5
        name = html.escape(line.name)
        parts.append(f'<text class="name" fill="{colour}" x="{WIDTH - RIGHT + 6}" y="{y:.1f}">{name}</text>')
    return parts


def number(value: float) -> str:
    """Return the number with as few digits as can distinguish it."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
