"""The table of a comparison, with the spread over the rounds and remarks on its exactness."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from tidewire.bench.measurement import Load, Measured

# The system counts CPU time in ticks of 10 ms.
LEAST_CPU_SECONDS = 0.3
# Of a core: other programs then make the times longer, and clients with so much are late themselves.
FOREIGN_CORES = 0.3
CLIENT_CORES = 0.8

Rounds = dict[str, list[Measured]]


def table(rounds: Rounds, load: Load) -> str:
    """Return the lines for a person. Each figure is the median of the rounds, with the least and the greatest."""
    count = len(next(iter(rounds.values())))
    columns: list[tuple[str, Callable[[Measured], float]]] = [
        ("CPU us/frame", lambda each: each.figures.microseconds),
        ("p50 ms", lambda each: each.figures.p50_ms),
        ("p99 ms", lambda each: each.figures.p99_ms),
        ("KB/socket", lambda each: each.kilobytes),
    ]
    head = ["", *(title for title, _ in columns), "lost", "doubled", "reordered"]
    body = [
        [name, *(_spread([figure(each) for each in measured]) for _, figure in columns), *_faults(measured)]
        for name, measured in rounds.items()
    ]
    widths = [max(map(len, cells)) for cells in zip(head, *body, strict=True)]
    lines = [
        f"{load.path}: {load.sockets} sockets, {load.messages} messages, {_audience(rounds)}; rounds: {count}",
        "",
        *(
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
            for line in (head, *body)
        ),
        "",
        _verdict(rounds),
        *_remarks(rounds, load),
    ]
    return "\n".join(lines)


def step(measured: Measured) -> str:
    """Return the result of one server in one round, in a few words."""
    faults = measured.faults
    wrong = "".join(
        f", {count} {name}"
        for name, count in (("lost", faults.lost), ("doubled", faults.doubled), ("reordered", faults.reordered))
        if count
    )
    return f"{measured.figures.microseconds:.0f} us per frame, p99 {measured.figures.p99_ms:.0f} ms{wrong}"


def _spread(values: Sequence[float]) -> str:
    middle = _number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({_number(min(values))}-{_number(max(values))})"


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 10 else f"{value:.0f}"


def _faults(measured: Sequence[Measured]) -> list[str]:
    faults = [each.faults for each in measured]
    lost, doubled, reordered = (
        sum(each.lost for each in faults),
        sum(each.doubled for each in faults),
        sum(each.reordered for each in faults),
    )
    return [str(lost), str(doubled), str(reordered)]


def _audience(rounds: Rounds) -> str:
    every = [each for measured in rounds.values() for each in measured]
    if all(each.is_echo for each in every):
        return "a message reaches its sender"
    count = max(len(each.audience) for each in every)
    return f"a message reaches {count} {'socket' if count == 1 else 'sockets'}"


def _verdict(rounds: Rounds) -> str:
    """Say which is cheaper, or that the rounds of both overlap."""
    least = min(each.figures.cpu_seconds for measured in rounds.values() for each in measured)
    if least < LEAST_CPU_SECONDS:
        return f"A server used {least:.2f} s of CPU in a round, too little for a comparison: more --messages."
    before, after = ([each.figures.microseconds for each in measured] for measured in rounds.values())
    name, other = rounds
    if max(after) < min(before):
        times = statistics.median(before) / statistics.median(after)
        return f"{other}: {times:.1f} times less CPU per frame ({min(before) / max(after):.1f} at least)."
    if min(after) > max(before):
        times = statistics.median(after) / statistics.median(before)
        return f"{other}: {times:.1f} times more CPU per frame."
    return f"CPU per frame is equal within the spread: the rounds of {name} and {other} overlap."


def _remarks(rounds: Rounds, load: Load) -> list[str]:
    every = [each.figures for measured in rounds.values() for each in measured]
    remarks = []
    if (foreign := max(each.foreign_cores for each in every)) > FOREIGN_CORES:
        remarks.append(f"Other programs used up to {foreign:.1f} cores: times are longer than on a quiet machine.")
    if (client := max(each.client_cores for each in every)) > CLIENT_CORES:
        remarks.append(f"The clients used up to {client:.1f} of a core: p50 and p99 have their delay, too.")
    compressing = [name for name, measured in rounds.items() if measured[0].is_compressed]
    if len(compressing) == 1:
        remarks.append(f"Only the server of {compressing[0]} compresses messages, which is part of its CPU time.")
    if "{number}" not in load.message:
        remarks.append("--send has no {number}, so frames cannot be distinguished, and their order was not checked.")
    return remarks
