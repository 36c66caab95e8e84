"""The charts of a report: what happened by second, and each latency by percentile, with the objectives they have."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Iterable, Sequence

from loadtest.report.judged import objectives_of
from loadtest.report.result import Result
from loadtest.run import figures
from testkit.svg_charts import Band, Line, Mark, chart


def charts(result: Result) -> Iterable[str]:
    series = result.series
    last = max((row[0] for row in series["users"]), default=1)
    seconds = _seconds(last)
    bands = _phases(result, last)

    def over_time(lines: Sequence[Line], unit: str, limits: Sequence[tuple[str, float]] = ()) -> str:
        return chart(lines, unit=unit, x_ticks=seconds, bands=bands, limits=limits)

    latency = series["latency_ms"][figures.DELIVERY]
    lines = [Line(name, [(row[0], row[i]) for row in latency]) for i, name in ((3, "p99"), (2, "p95"), (1, "p50"))]
    limits = [
        (f"objective: {percentile}", limit)
        for percentile, limit in objectives_of(figures.DELIVERY, result.checks).items()
    ]
    yield _figure(
        "Delivery latency, by second",
        "From the event's own time to the client.",
        over_time(lines, "ms", limits),
    )

    sent = [Line(name, [(x, y) for x, y in rows]) for name, rows in series["deliveries"].items()]
    yield _figure("Deliveries per second", "Messages that reached clients, by event.", over_time(sent, "per s"))

    users = [Line(name, [(row[0], row[i]) for row in series["users"]]) for i, name in ((2, "sockets"), (1, "users"))]
    yield _figure("Users and sockets", "Logged-in users and their open sockets.", over_time(users, ""))

    yield _figure(
        "Latency by percentile", "Of the whole run: how slow the slowest are. Circles: objectives.", _curves(result)
    )

    names = sorted({name for _, _, services in series["cpu"] for name in services})
    cpu = [Line("generator", [(second, share * 100) for second, share, _ in series["cpu"]])]
    # Reports of earlier versions lack it.
    machine = [(second, cores * 100) for second, cores in series.get("machine", ())]
    cpu += [Line("whole machine", machine)] * bool(machine)
    cpu += [
        Line(name, [(second, shares[name] * 100) for second, _, shares in series["cpu"] if name in shares])
        for name in names
    ]
    limits = [("objective: generator", limit * 100) for limit in _limits(result, "generator_cpu_share")]
    yield _figure("CPU", "100 % is one core; Python's processes have one each.", over_time(cpu, "%", limits))

    memory = [
        Line(name, [(second, sizes[name]) for second, sizes in series["rss_mib"] if name in sizes]) for name in names
    ]
    yield _figure("Memory", "RSS of each service, all its processes together.", over_time(memory, "MiB"))

    lag = [Line("worst lag", [(second, value) for second, value in series["lag_ms"]])]
    limits = [("objective: p95", limit) for limit in _limits(result, "generator_lag_ms")]
    yield _figure(
        "The generator's own lag",
        "How late its loop woke up: above the line it measures itself.",
        over_time(lag, "ms", limits),
    )


def _curves(result: Result) -> str:
    curves = result.series["curves"]
    names = (figures.INTENDED, figures.DELIVERY, figures.RESUME, figures.COUNT, figures.HANDSHAKE)
    short = {figures.INTENDED: "intended save", figures.DELIVERY: "delivery", figures.COUNT: "users.count"}
    lines = [
        Line(short.get(name, name), [(_nines(p), value) for p, value in curves[name]])
        for name in names
        if name in curves
    ]
    x_ticks = [(_nines(p), f"{p:g} %") for p in (0.0, 50.0, 90.0, 99.0, 99.9, 99.99)]
    marks = [
        Mark(f"{short.get(name, name)} {percentile}", _nines(float(percentile.removeprefix("p"))), limit)
        for name in names
        if name in curves
        for percentile, limit in objectives_of(name, result.checks).items()
    ]
    return chart(lines, unit="ms", x_ticks=x_ticks, marks=marks)


def _nines(percent: float) -> float:
    return -math.log10(1 - percent / 100)


def _seconds(last: float) -> list[tuple[float, str]]:
    step = next((step for step in (10, 20, 30, 60, 120, 300, 600) if last / step <= 8), 1800)
    return [(float(second), f"{second} s") for second in range(0, int(last) + 1, step)]


def _phases(result: Result, last: float) -> list[Band]:
    starts = [*result.phases, ("", int(last))]
    return [
        Band(name, start, min(end, last))
        for (name, start), (_, end) in itertools.pairwise(starts)
        if end > start and start < last
    ]


def _figure(title: str, note: str, svg: str) -> str:
    return f"<figure><figcaption><b>{html.escape(title)}</b> {html.escape(note)}</figcaption>{svg}</figure>"


def _limits(result: Result, name: str) -> list[float]:
    return [each.limit for each in result.checks if each.name == name]
