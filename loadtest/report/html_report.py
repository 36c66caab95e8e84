"""The report as an HTML file that loads no other files: first the verdict, then plots, then all figures."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from loadtest.report.judged import objective_text
from loadtest.report.report_charts import charts
from loadtest.report.result import Result
from loadtest.run import figures
from loadtest.run.objectives import Check
from testkit.delivery_ledger import Kind
from testkit.svg_charts import number

STYLE = Path(__file__).with_name("report.css")
MEANINGS = {kind.value: kind.meaning for kind in Kind}
UNITS = {"_ms": " ms", "_share": "", "_seconds": " s"}
# Number of faults that a page may list; the JSON file has all that were kept.
FAULTS_SHOWN = 40


def html_page(result: Result) -> str:
    configuration = result.configuration
    word = "passed" if result.passed else "failed"
    body = [
        f'<header class="{word}"><p class="badge">{word}</p><h1>{_text(result.title)}</h1>',
        f"<p>{_text(configuration['date'])} · {_text(configuration['host'])}",
        f" · commit {_text(result.versions['tidewire'])}</p>",
        "</header>",
        *(f'<p class="problem">{_text(problem)}</p>' for problem in result.problems),
        _tiles(result),
        f"<p class='lead'>{_lead(result)}</p>",
        *_shape(result),
        _faults(result),
        "<h2>Over time</h2>",
        '<div class="charts">',
        *charts(result),
        "</div>",
        "<h2>Verdict</h2>",
        _table(("objective", "allowed", "measured", ""), (_check(each) for each in result.checks)),
        "<h2>Latencies, in milliseconds</h2>",
        _latencies(result),
        "<h2>Pages, in milliseconds</h2>",
        _pages(result),
        *_errors(result),
        "<h2>Services and generator</h2>",
        _services(result),
        "<h2>Configuration and versions</h2>",
        _table(("", ""), ((_text(name), _text(_plain(value))) for name, value in configuration.items())),
        _table(("", ""), ((_text(name), _text(value)) for name, value in result.versions.items())),
    ]
    head = (
        f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{_text(result.title)}</title>"
    )
    style = STYLE.read_text(encoding="utf-8")
    return (
        f"<!doctype html><html lang='en'><head>{head}<style>{style}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _lead(result: Result) -> str:
    totals = result.totals
    deliveries = f"{totals['deliveries_due']:,} deliveries were due and {totals['deliveries']:,} were received"
    return f"{totals['events_published']:,} events: {deliveries}. Bottleneck: {_text(result.bottleneck)}."


def _tiles(result: Result) -> str:
    delivery = result.latencies.get(figures.DELIVERY)
    wrong = sum(result.counts.values())
    tiles = [
        ("users", f"{result.totals['users']:,}", f"{result.totals['sockets_at_once']:,} sockets at once"),
        ("deliveries", f"{result.totals['deliveries']:,}", f"of {result.totals['deliveries_due']:,} due"),
        ("wrong", f"{wrong:,}", "lost, duplicated, reordered, late"),
        ("p95", f"{number(delivery.p95)} ms" if delivery else "none", "publish to receive, all users live"),
        (
            "p99",
            f"{number(delivery.p99)} ms" if delivery else "none",
            f"slowest {number(delivery.maximum)} ms" if delivery else "",
        ),
    ]
    cells = (
        f'<div class="tile"><b>{value}</b><span>{name}</span><small>{_text(note)}</small></div>'
        for name, value, note in tiles
    )
    return f'<div class="tiles">{"".join(cells)}</div>'


def _shape(result: Result) -> Iterable[str]:
    """Yield the results that shapes other than a ramp add."""
    if result.search is not None:
        yield f"<h2>Search</h2><p class='lead'>{_text(result.search['sentence'])}</p>"
        rows = (
            (
                f"{step['users']:,}",
                "none" if step["p95_ms"] is None else f"{number(step['p95_ms'])} ms",
                _text(step["starved"] or "had time"),
            )
            for step in result.search["steps"]
        )
        yield _table(("users", "p95", "generator"), rows)
    yield from (f"<p class='note'>{_text(incident)}</p>" for incident in (*result.incidents, *result.notes))
    for worker, users in result.unaccounted.items():
        names = ", ".join(users[:FAULTS_SHOWN]) + (" ..." if len(users) > FAULTS_SHOWN else "")
        yield f"<p class='problem'>{_text(worker)}: {len(users)} users are unaccounted for: {_text(names)}</p>"
    if result.growth:
        grown = ", ".join(f"{name} {mib:+.1f}" for name, mib in result.growth.items())
        yield f"<p class='note'>Memory, MiB an hour over the hold: {_text(grown)}</p>"


def _faults(result: Result) -> str:
    if not result.faults:
        return ""
    counted = ", ".join(f"{count:,} {kind}" for kind, count in result.counts.items() if count)
    shown = "".join(f"<li>{_text(fault)}</li>" for fault in result.faults[:FAULTS_SHOWN])
    rest = sum(result.counts.values()) - min(FAULTS_SHOWN, len(result.faults))
    more = f"<p>and {rest:,} more</p>" if rest > 0 else ""
    return f'<section class="faults"><h2>What went wrong: {counted}</h2><ul>{shown}</ul>{more}</section>'


def _check(each: Check) -> Sequence[str]:
    unit = next((unit for ending, unit in UNITS.items() if each.name.endswith(ending)), "")
    state = {
        True: '<i class="ok">kept</i>',
        False: '<i class="bad">broken</i>',
        None: '<i class="none">not measured</i>',
    }[each.passed]
    name = each.name.replace("_", " ").removesuffix(" ms")
    note = f" <small>{MEANINGS[each.name]}</small>" if each.name in MEANINGS else ""
    value = "none" if each.value is None else f"{number(each.value)}{unit}"
    return (f"{_text(name)}{note}", f"{number(each.limit)}{unit}", value, state)


def _latencies(result: Result) -> str:
    rows = (
        (
            _text(name),
            f"{s.count:,}",
            *(number(v) for v in (s.p50, s.p95, s.p99, s.p99_9, s.maximum)),
            objective_text(name, result.checks),
        )
        for name, s in result.latencies.items()
    )
    note = (
        "<p class='note'>Deliveries: while all users were live. The others: over the whole run."
        " p99.9 needs thousands of values to mean much.</p>"
    )
    return note + _table(("", "count", "p50", "p95", "p99", "p99.9", "max", "objective"), rows)


def _pages(result: Result) -> str:
    rows = (
        (
            _text(f"{p['method']} {p['name']}"),
            f"{p['count']:,}",
            *(number(p[n] or 0) for n in ("p50", "p95", "p99")),
            f"{p['failures']:,}",
        )
        for p in result.pages
    )
    return _table(("", "count", "p50", "p95", "p99", "failed"), rows)


def _errors(result: Result) -> list[str]:
    return [f"<p class='problem'>{_text(error)}</p>" for error in result.errors[:FAULTS_SHOWN]]


def _services(result: Result) -> str:
    health = result.generator
    rows = [
        (
            "generator",
            f"{health.cpu_mean:.0%}",
            f"{health.cpu_max:.0%}",
            "",
            f"{health.lag_p95_ms:.0f} ms p95, {health.lag_max_ms:.0f} ms at most",
        )
    ]
    rows += [
        (_text(name), f"{s['cpu_mean']:.0%}", f"{s['cpu_max']:.0%}", f"{s['rss_mib']:.0f} MiB", "")
        for name, s in result.services.items()
    ]
    return _table(("of one core, while all users were live", "CPU mean", "CPU most", "RSS most", "loop lag"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    lines = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    header = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    return (
        f"<div class='scroll'><table>{header}<tbody>{''.join(f'<tr>{row}</tr>' for row in lines)}</tbody></table></div>"
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _text(value: object) -> str:
    return html.escape(str(value))
