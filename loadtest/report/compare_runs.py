"""Compares two runs: `python -m loadtest compare A B`. Reads their report.json files and judges neither."""

from __future__ import annotations

import argparse
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testkit.svg_charts import number

PERCENTILES = ("p50", "p95", "p99", "p99_9")
# Two runs of the same code may differ by less than this by chance on an ordinary machine: see docs/load-testing.md.
NOISE_SHARE = 0.2
# The report's own stylesheet; an import of the report would also import Locust.
STYLE = Path(__file__).with_name("report.css")
Data = Mapping[str, Any]
# If one of these differs, the two runs had other work to do or other means to do it with.
SAME_LOAD = {
    "users": "users",
    "shape": "shape",
    "hold_seconds": "seconds",
    "journeys": "journeys",
    "pace": "pace",
    "machine": "machine",
}
# The parts that any result has, of whatever version of the report.
NEEDED = {
    "title": str,
    "passed": bool,
    **dict.fromkeys(("configuration", "versions", "latencies", "totals", "counts", "services"), dict),
}


class CompareError(Exception):
    """A path is not the result of a run."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of both runs; None if a run lacks it."""

    name: str
    before: float | None
    after: float | None
    unit: str = ""

    @property
    def change(self) -> float | None:
        """The relative change from the first run to the second."""
        if self.before is None or self.after is None or not self.before:
            return None
        return self.after / self.before - 1

    @property
    def change_text(self) -> str:
        if self.before is None or self.after is None:
            return "" if self.before is self.after else "only one run has it"
        if self.change is None:
            return "" if self.before == self.after else "from none"
        return f"{self.change:+.0%}" + (" (within noise)" if abs(self.change) <= NOISE_SHARE and self.change else "")


def read(path: Path) -> dict[str, Any]:
    """Read a run's directory, or its report.json. Raises `CompareError`."""
    file = path / "report.json" if path.is_dir() else path
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CompareError(f"{file} is no result of a load test: {error!r}") from error
    for name, kind in NEEDED.items():
        if not isinstance(found, dict) or not isinstance(found.get(name), kind):
            raise CompareError(f"{file} is no result of a load test: it has no {name}")
    report: dict[str, Any] = found
    return report


def sections(before: Data, after: Data) -> list[tuple[str, list[Row]]]:
    """Return all figures that either run has, by section."""
    latencies = [
        Row(
            f"{name}, {percentile.replace('_', '.')}", _at(before, name, percentile), _at(after, name, percentile), "ms"
        )
        for name in _names(before["latencies"], after["latencies"])
        for percentile in PERCENTILES
    ]
    return [
        ("What went wrong", _rows(before["counts"], after["counts"])),
        ("Latency", latencies),
        ("Totals", _rows(before["totals"], after["totals"])),
        ("CPU, share of one core", _rows(_services(before, "cpu_mean"), _services(after, "cpu_mean"))),
        ("Memory", _rows(_services(before, "rss_mib"), _services(after, "rss_mib"), "MiB")),
    ]


def differences(before: Data, after: Data) -> list[tuple[str, str, str]]:
    """Return the differences between the two runs' setups."""
    changes = []
    for part in ("configuration", "versions"):
        for name in _names(before[part], after[part]):
            one, other = (str(run[part].get(name, "none")) for run in (before, after))
            if one != other and name not in ("date", "started_at"):
                changes.append((name, one, other))
    return changes


def not_comparable(before: Data, after: Data) -> list[str]:
    """Return the reasons for which a difference of figures would not be one of the product."""
    reasons = [
        f"other {name} ({_plain(one)} and {_plain(other)})"
        for key, name in SAME_LOAD.items()
        if (one := before["configuration"].get(key)) != (other := after["configuration"].get(key))
    ]
    one, other = (run.get("report_version", "none") for run in (before, after))
    return [*reasons, f"other version of the report ({one} and {other})"] if one != other else reasons


def markdown(before: Data, after: Data) -> str:
    reasons = not_comparable(before, after)
    lines = [
        f"# {before['title']} and {after['title']}",
        "",
        f"{_date(before)}: {_verdict(before)}. {_date(after)}: {_verdict(after)}.",
        "",
        *[f"**Not comparable**: {'; '.join(reasons)}.", ""] * bool(reasons),
    ]
    lines += [f"- {name}: {one} and {other}" for name, one, other in differences(before, after)]
    for title, rows in sections(before, after):
        lines += ["", f"## {title}", "", "| | before | after | |", "|---|--:|--:|---|"]
        lines += [
            f"| {row.name} | {_value(row.before, row.unit)} | {_value(row.after, row.unit)}"
            f" | {'' if reasons else row.change_text} |"
            for row in rows
        ]
    return "\n".join([*lines, ""])


def page(before: Data, after: Data) -> str:
    """Return an HTML page that loads no other files."""
    title = html.escape(f"{before['title']} and {after['title']}")
    reasons = not_comparable(before, after)
    problem = f"<p class='problem'>Not comparable: {html.escape('; '.join(reasons))}.</p>" if reasons else ""
    tables = [problem, _table(("", "before", "after"), differences(before, after))]
    for name, rows in sections(before, after):
        cells = [
            (row.name, _value(row.before, row.unit), _value(row.after, row.unit), "" if reasons else row.change_text)
            for row in rows
        ]
        tables.append(f"<h2>{html.escape(name)}</h2>{_table(('', 'before', 'after', ''), cells)}")
    verdicts = html.escape(f"before: {_verdict(before)}, after: {_verdict(after)}")
    style = STYLE.read_text(encoding="utf-8")
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title><style>{style}</style>"
        f"</head><body><header><h1>{title}</h1><p>{verdicts}</p></header>{''.join(tables)}</body></html>\n"
    )


def main(arguments: Sequence[str]) -> Path:
    """Write compare.html and compare.md beside the second run's report, and return the page's path."""
    parser = argparse.ArgumentParser(prog="python -m loadtest compare", description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--out", type=Path, default=None, help="a directory; the second run's if not given")
    options = parser.parse_args(arguments)
    before, after = read(options.before), read(options.after)
    out: Path = options.out or (options.after if options.after.is_dir() else options.after.parent)
    out.mkdir(parents=True, exist_ok=True)
    (out / "compare.md").write_text(markdown(before, after), encoding="utf-8")
    (out / "compare.html").write_text(page(before, after), encoding="utf-8")
    return out / "compare.html"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _verdict(run: Data) -> str:
    return "passed" if run["passed"] else "failed"


def _date(run: Data) -> str:
    return str(run["configuration"].get("date", "no date"))


def _names(before: Data, after: Data) -> list[str]:
    return list(dict.fromkeys([*before, *after]))


def _rows(before: Data, after: Data, unit: str = "") -> list[Row]:
    return [Row(name.replace("_", " "), before.get(name), after.get(name), unit) for name in _names(before, after)]


def _at(run: Data, name: str, percentile: str) -> float | None:
    value: float | None = run["latencies"].get(name, {}).get(percentile)
    return value


def _services(run: Data, what: str) -> dict[str, float | None]:
    # A node's port changes from run to run, but its number does not.
    ports = sorted(name for name in run["services"] if ":" in name)
    short = {
        name: f"{name.partition(':')[0]} {ports.index(name) + 1}" if name in ports else name for name in run["services"]
    }
    return {short[name]: values.get(what) for name, values in run["services"].items()}


def _value(value: float | None, unit: str) -> str:
    return "none" if value is None else f"{number(value)} {unit}".strip()


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<div class='scroll'><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>" if body else ""
    )
