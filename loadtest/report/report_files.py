"""Writes a result as HTML to read, as JSON to compare, and as Markdown for a pull request."""

from __future__ import annotations

import json
import os
from pathlib import Path

from loadtest.report import compare_runs
from loadtest.report.html_report import html_page
from loadtest.report.judged import objective_text
from loadtest.report.result import Result
from loadtest.run import figures
from testkit.svg_charts import number

# A pull request must show that there are faults, with some examples, and the pages that users load most.
FAULTS_SHOWN = 10
PAGES_SHOWN = 12
# A run, its directory or its report.json: the report must compare its own figures with those of that run.
BASELINE = "LOADTEST_BASELINE"


def write_report(result: Result, directory: Path) -> Path:
    """Write the files, and return the path of the page."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.json").write_text(json.dumps(result.as_data(), indent=1) + "\n", encoding="utf-8")
    (directory / "report.md").write_text(markdown(result) + _baseline(directory), encoding="utf-8")
    (directory / "headline.txt").write_text(headline(result), encoding="utf-8")
    path = directory / "report.html"
    path.write_text(html_page(result), encoding="utf-8")
    return path


def markdown(result: Result) -> str:
    configuration = result.configuration
    lines = [
        f"# {result.title}: {'passed' if result.passed else 'FAILED'}",
        "",
        f"{configuration['date']}, commit {result.versions['tidewire']}, {configuration['machine']}.",
        _summary(result),
        f"Bottleneck: {result.bottleneck}.",
        *_shape(result),
        "",
        *(f"- **{problem}**" for problem in result.problems),
        *(f"- {fault}" for fault in result.faults[:FAULTS_SHOWN]),
        *(f"- {error}" for error in result.errors[:FAULTS_SHOWN]),
        *[""] * bool(result.problems or result.faults or result.errors),
        f"`{configuration['command']}`",
        "",
        "| milliseconds | count | p50 | p95 | p99 | p99.9 | max | objective |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
        *(
            f"| {name} | {s.count:,} | {' | '.join(number(v) for v in (s.p50, s.p95, s.p99, s.p99_9, s.maximum))}"
            f" | {objective_text(name, result.checks)} |"
            for name, s in result.latencies.items()
        ),
        "",
        *_pages(result),
        *_services(result),
        "| objective | allowed | measured | |",
        "|---|--:|--:|---|",
        *(
            f"| {each.name} | {number(each.limit)} | {'not measured' if each.value is None else number(each.value)} |"
            f" {'' if each.passed else 'not measured' if each.passed is None else '**broken**'} |"
            for each in result.checks
        ),
        "",
    ]
    return "\n".join(lines)


def _pages(result: Result) -> list[str]:
    pages = sorted(result.pages, key=lambda page: -page["count"])
    rest = len(pages) - PAGES_SHOWN
    return [
        "| pages, milliseconds | count | p50 | p95 | p99 | failed |",
        "|---|--:|--:|--:|--:|--:|",
        *(
            f"| {page['method']} {page['name']} | {page['count']:,}"
            f" | {' | '.join(number(page[name] or 0) for name in ('p50', 'p95', 'p99'))} | {page['failures']:,} |"
            for page in pages[:PAGES_SHOWN]
        ),
        *[f"| and {rest} others | | | | | |"] * (rest > 0),
        "",
    ]


def _services(result: Result) -> list[str]:
    health = result.generator
    return [
        "| of one core, while all users were live | CPU mean | CPU most | RSS most |",
        "|---|--:|--:|--:|",
        *(
            f"| {name} | {used['cpu_mean']:.0%} | {used['cpu_max']:.0%} | {used['rss_mib']:.0f} MiB |"
            for name, used in result.services.items()
        ),
        f"| generator | {health.cpu_mean:.0%} | {health.cpu_max:.0%} | |",
        "",
    ]


def _baseline(directory: Path) -> str:
    """Return the comparison with the run that the environment names. A run must not fail for want of that one."""
    if not (path := os.environ.get(BASELINE)):
        return ""
    try:
        before = compare_runs.read(Path(path))
    except compare_runs.CompareError as error:
        return f"\n**No comparison with the baseline**: {error}\n"
    after = compare_runs.read(directory)
    (directory / "compare.html").write_text(compare_runs.page(before, after), encoding="utf-8")
    return f"\n{compare_runs.markdown(before, after)}"


def _shape(result: Result) -> list[str]:
    """Return the results that the run's shape adds, as sentences."""
    lost = [
        f"{worker}: {len(users)} users are unaccounted for, {', '.join(users[:FAULTS_SHOWN])}"
        + (" ..." if len(users) > FAULTS_SHOWN else "")
        for worker, users in result.unaccounted.items()
    ]
    searched = [result.search["sentence"]] if result.search else []
    return [
        f"{sentence[:1].upper()}{sentence[1:]}." for sentence in (*searched, *result.incidents, *result.notes, *lost)
    ]


def _summary(result: Result) -> str:
    totals = result.totals
    users = f"{totals['users']} users, {totals['sockets_at_once']} sockets at once"
    deliveries = f"{totals['deliveries_due']:,} deliveries due, {totals['deliveries']:,} received"
    wrong = ", ".join(f"{count} {kind}" for kind, count in result.counts.items())
    return f"{users}, held for {result.configuration['hold_seconds']:g} s; {deliveries}; {wrong}."


def headline(result: Result) -> str:
    """Return the summary that a terminal prints at the end."""
    delivery = result.latencies.get(figures.DELIVERY)
    p95 = f"p95 {number(delivery.p95)} ms, p99 {number(delivery.p99)} ms" if delivery else "no delivery measured"
    wrong = ", ".join(f"{count} {kind}" for kind, count in result.counts.items())
    due = f"{result.totals['deliveries']:,} of {result.totals['deliveries_due']:,} deliveries"
    lines = [f"{'PASSED' if result.passed else 'FAILED'}: {due}, {p95}; {wrong}", *result.problems, *_shape(result)]
    broken = [
        f"{c.name}: {number(c.value)}, {number(c.limit)} allowed"
        for c in result.checks
        if c.passed is False and c.value is not None
    ]
    return "\n  ".join([*lines, *broken, *result.faults[:FAULTS_SHOWN], *result.errors[:FAULTS_SHOWN]])
