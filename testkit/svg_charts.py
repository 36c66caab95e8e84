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
# If the greatest value is so many times that of nine in ten, a linear axis would show these as a flat line.
OUTLIER = 8.0
# The unit of values that spread over decades; counts and shares do not.
TIME = "ms"
# Decades below the greatest value that a logarithmic axis shows; smaller values are at its foot.
DECADES = 5


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


@dataclass(frozen=True)
class Mark:
    """A named point, such as an objective of one percentile."""

    name: str
    x: float
    y: float


def ticks(most: float, count: int = 4) -> list[float]:
    """Return round values from 0 to at least `most`."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / count
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(step * magnitude for step in (1, 2, 2.5, 5, 10) if step * magnitude >= rough * (1 - 1e-9))
    return [step * i for i in range(math.ceil(most / step - 1e-9) + 1)]


def is_logarithmic(values: Sequence[float]) -> bool:
    """Return whether one of the values is so far above most of them that a linear axis would flatten these."""
    positive = sorted(value for value in values if value > 0)
    return bool(positive) and positive[-1] > OUTLIER * positive[math.ceil(len(positive) * 0.9) - 1]


def powers(least: float, most: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten, or powers alone if these are many, from at most `least` to `most`."""
    least = max(least, most / 10**DECADES)
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    steps = (1, 2, 5) if last - first <= 2 else (1,)
    every = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    low = max(level for level in every if level <= least * (1 + 1e-9))
    high = min(level for level in every if level >= most * (1 - 1e-9))
    return [level for level in every if low <= level <= high]


def chart(
    lines: Sequence[Line],
    *,
    unit: str,
    x_ticks: Sequence[tuple[float, str]],
    bands: Sequence[Band] = (),
    limits: Sequence[tuple[str, float]] = (),
    marks: Sequence[Mark] = (),
) -> str:
    """Return an SVG element. `limits` are the names and the levels of dashed lines.

    The axis of a time is logarithmic if a single value would flatten all others, and says so.
    """
    lines = [line for line in lines if line.points]
    if not lines:
        return '<p class="none">Nothing was measured.</p>'
    xs = [x for line in lines for x, _ in line.points] + [x for x, _ in x_ticks]
    values = [y for line in lines for _, y in line.points]
    shown_limits = [(name, level) for name, level in limits if level <= max(values) * 4]
    # Room above the limits for their names.
    highest = max([max(values), *(level * 1.1 for _, level in shown_limits), *(mark.y for mark in marks)])
    logarithmic = unit == TIME and is_logarithmic(values)
    levels = powers(min(y for y in values if y > 0), highest) if logarithmic else ticks(highest)
    low = min(xs)
    high = max(*xs, low + 1e-9)

    def x_at(x: float) -> float:
        return LEFT + (x - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y_at(y: float) -> float:
        share = y / levels[-1]
        if logarithmic:
            share = math.log(max(y, levels[0]) / levels[0]) / math.log(levels[-1] / levels[0])
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">']
    parts += _bands(bands, x_at)
    for level in levels:
        y = y_at(level)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{number(level)}</text>')
    axis = html.escape(f"{unit}, log" if logarithmic else unit)
    parts.append(f'<text class="unit" x="{LEFT - 6}" y="{TOP - 11}" text-anchor="end">{axis}</text>')
    for x, text in x_ticks:
        parts.append(f'<text class="tick" x="{x_at(x):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{text}</text>')
    for name, level in shown_limits:
        y = y_at(level)
        parts.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        where = f'x="{WIDTH - RIGHT - 4}" y="{y - 4:.1f}" text-anchor="end"'
        parts.append(f'<text class="limit-name" {where}>{html.escape(name)}</text>')
    parts += _lines(lines, x_at, y_at)
    for mark in marks:
        x, y = x_at(mark.x), y_at(mark.y)
        parts.append(f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        parts.append(f'<text class="limit-name" x="{x - 7:.1f}" y="{y - 4:.1f}" text-anchor="end">')
        parts.append(f"{html.escape(mark.name)}</text>")
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
