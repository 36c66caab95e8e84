"""Writes docs/benchmarks.md from a run: targets, sections, the method and its limits."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from bench.paths import DOCUMENT, HERE, PLOTS
from bench.sections import cost, failures, fanout, faults, idle, latency, stall, storm
from bench.spread import NOISE
from bench.tables import Run, table
from bench.target_results import Target, judge

METHOD = HERE / "method.md"
REMARKS = HERE / "remarks.md"


def write(run: Run) -> None:
    """Write the document and its plots."""
    from bench.benchmark_plots import draw_all

    plots = [path.relative_to(DOCUMENT.parent).as_posix() for path in draw_all(run, PLOTS)]
    DOCUMENT.write_text(document(run, plots), encoding="utf-8")


def document(run: Run, plots: Sequence[str]) -> str:
    sections = [*_head(run), *_targets(run)]
    if REMARKS.exists():
        sections.append(REMARKS.read_text(encoding="utf-8").strip())
    sections += [*fanout(run, plots), *faults(run), *idle(run, plots), *storm(run), *stall(run), *failures(run)]
    sections.append(METHOD.read_text(encoding="utf-8").strip())
    sections += ["## Versions", _versions(run)]
    return "\n\n".join(map(_wrapped, sections)) + "\n"


def _wrapped(section: str) -> str:
    """Wrap prose at the width of the other documents; tables, lists, headings and pictures remain unchanged."""
    if "\n" in section or section.startswith(("|", "-", "#", "!")):
        return section
    return textwrap.fill(section, 120, break_long_words=False, break_on_hyphens=False)


def screen(run: Run) -> str:
    """Return the summary at the end of `make bench-quick`."""
    tables = [cost(run, "single"), cost(run, "burst"), latency(run, "single")] if run.select("fanout") else []
    judged = "\n".join(_judgement(target) for target in judge(run) if target.met is not None)
    return "\n\n".join([*tables, judged, f"taken by other processes: {_disturbed(run)}"])


def _head(run: Run) -> Iterator[str]:
    about = run.about
    yield "# Benchmarks"
    yield (
        "The cost of a delivered event, an open socket and a connect, for tidewire and its alternatives: one server "
        "process at a time on one machine, in turns, repeated. Written by the command below; the figures between "
        "brackets are the least and the most of all rounds, the one before them is the median."
    )
    changed = " with uncommitted changes" if about["changed"] else ""
    pinned = about["pinned"]
    cores = (
        f"server on core {pinned['server']}; generator, publisher and Redis on core {pinned['others']}"
        if pinned
        else "nothing pinned"
    )
    yield table(
        ("", ""),
        (
            ("date", about["date"]),
            ("command", f"`{about['command']}`"),
            ("commit", f"{about['commit']}{changed}"),
            ("machine", f"{about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB, {about['system']}"),
            ("kernel", about["kernel"]),
            ("cores", cores),
            ("taken by other processes", _disturbed(run)),
            ("open files", f"limit {about['open_files']:,}"),
        ),
    ).replace("---:", "---")


def _disturbed(run: Run) -> str:
    """Return the share of other processes. Above a few percent, latencies first, then CPU figures, may be wrong."""
    shares = [record["disturbance"] for record in run.records]
    if not shares:
        return "-"
    repeated = sum(record["tries"] > 1 for record in run.records)
    return (
        f"{sum(shares) / len(shares):.0%} of the machine on average, {max(shares):.0%} in the worst step; "
        f"{repeated} of {len(shares)} figures from repeated steps"
    )


def _targets(run: Run) -> Iterator[str]:
    yield "## Targets"
    yield (
        "*Equal* means that the spread leaves it open: the values of the rounds overlap, or differ by less than a "
        f"repetition does ({NOISE:.0%} of either). Of several ways to set up stock Channels or npm `ws`, the cheapest "
        "counts."
    )
    rows = [(target.name, target.wanted, target.measured, _word(target)) for target in judge(run)]
    yield table(("", "target", "measured", ""), rows).replace("---:", "---")


def _word(target: Target) -> str:
    return {"not met": "**not met**", None: "not measured"}.get(target.met) or str(target.met)


def _judgement(target: Target) -> str:
    return f"{_word(target).strip('*'):8} {target.name}: {target.measured} (target: {target.wanted})"


def _versions(run: Run) -> str:
    return ", ".join(f"{name} {version}" for name, version in run.about["versions"].items()) + "."
