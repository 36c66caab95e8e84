"""A report's Markdown has all that a pull request needs, and its JSON fits the schema."""

import dataclasses
import json
import re
from pathlib import Path

import jsonschema
import pytest

from loadtest.report import report_files
from loadtest.report.html_report import html_page
from loadtest.report.report_files import markdown, write_report
from loadtest.report.result import REPORT_VERSION, Result
from loadtest.run import figures
from tests.unit.loadtest.report.results import RESULT, result

SCHEMA = json.loads(Path(report_files.__file__).with_name("report.schema.json").read_text(encoding="utf-8"))


def written(tmp_path, found=RESULT):
    write_report(found, tmp_path)
    return json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))


def test_markdown_has_command_pages_and_cpu_of_services():
    text = markdown(RESULT)
    assert "`python -m loadtest --users 10`" in text.splitlines()
    assert "| GET / | 30 | 12 | 20 | 33 | 1 |" in text
    assert "| web | 25% | 50% | 90 MiB |" in text
    assert "| generator | 10% | 20% | |" in text


def test_markdown_has_the_pages_that_users_load_most():
    pages = [{**RESULT.pages[0], "name": f"/{count}/", "count": count} for count in range(1, 21)]
    text = markdown(result(pages=pages))
    assert re.findall(r"\| GET /(\d+)/ \|", text) == [str(count) for count in range(20, 8, -1)]
    assert "| and 8 others |" in text


@pytest.mark.parametrize("report", [markdown, html_page])
def test_each_latency_has_its_objectives_or_none(report):
    """Delivery has two, the handshake one, the heartbeat none."""
    text = report(RESULT)
    rows = [row for row in re.split(r"\n|</tr>", text) if re.search(r"^(\| |<tr><td>|.*<tbody><tr><td>)", row)]

    def objective(name):
        row = next(row for row in rows if f"| {name} |" in row or f"<td>{name}</td>" in row)
        return re.split(r" \| | \||</td><td>|</td>", row.rstrip())[-2]

    assert objective(figures.DELIVERY) == "p95 250, p99 1,000"
    assert objective(figures.HANDSHAKE) == "p95 900"
    assert objective(figures.HEARTBEAT) == "none"


def test_charts_show_the_objectives_of_their_figures():
    """Two of delivery by second, those of generator and lag, and three circles on the curves."""
    page = html_page(
        result(series={**RESULT.series, "lag_ms": [[0, 90.0], [1, 90.0]], "cpu": [[0, 0.8, {}], [1, 0.8, {}]]})
    )
    named = re.findall(r'<text class="limit-name"[^>]*>([^<]+)<', page)
    assert named == [
        "objective: p95",
        "delivery p95",
        "delivery p99",
        "handshake p95",
        "objective: generator",
        "objective: p95",
    ]


def test_json_is_what_the_schema_says(tmp_path):
    jsonschema.validate(written(tmp_path), SCHEMA)


def test_schema_has_every_field_of_a_result_and_its_version():
    assert (
        {field.name for field in dataclasses.fields(Result)} == SCHEMA["properties"].keys() == set(SCHEMA["required"])
    )
    assert SCHEMA["properties"]["report_version"]["const"] == REPORT_VERSION
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "wrong",
    [{"report_version": 0}, {"latencies": {"delivery": {"p95": "fast"}}}, {"counts": {"lost": 1.5}}, {"more": 1}],
)
def test_schema_refuses_what_is_no_report(tmp_path, wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(written(tmp_path) | wrong, SCHEMA)


def test_report_has_the_difference_from_its_baseline(tmp_path, monkeypatch):
    written(tmp_path / "before")
    monkeypatch.setenv("LOADTEST_BASELINE", str(tmp_path / "before"))
    slower = {name: dataclasses.replace(each, p95=180.0) for name, each in RESULT.latencies.items()}
    written(tmp_path / "after", result(latencies=slower))
    text = (tmp_path / "after" / "report.md").read_text(encoding="utf-8")
    assert f"| {figures.DELIVERY}, p95 | 90 ms | 180 ms | +100% |" in text
    assert "+100%" in (tmp_path / "after" / "compare.html").read_text(encoding="utf-8")


def test_baseline_that_is_none_is_named_and_breaks_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("LOADTEST_BASELINE", str(tmp_path / "none"))
    written(tmp_path / "after")
    text = (tmp_path / "after" / "report.md").read_text(encoding="utf-8")
    assert f"**No comparison with the baseline**: {tmp_path / 'none'}" in text


def test_report_without_a_baseline_compares_nothing(tmp_path):
    written(tmp_path)
    assert "before" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_baseline_of_another_form_leaves_the_report(tmp_path, monkeypatch):
    baseline = tmp_path / "other.json"
    baseline.write_text(json.dumps({"latencies": {}, "totals": {}, "counts": {}}))
    monkeypatch.setenv(report_files.BASELINE, str(baseline))
    path = write_report(RESULT, tmp_path / "run")
    assert path.exists()
    assert "**No comparison with the baseline**" in path.with_name("report.md").read_text()
