"""The comparison of two runs: all figures of either run, their changes, and different configurations."""

import html
import json

import pytest

from loadtest.report import compare_runs
from loadtest.report.compare_runs import CompareError, Row


def result(*, p95=100.0, lost=0, users=50, port=18200, **more):
    return {
        "title": "Load test",
        "passed": not lost,
        "counts": {"lost": lost},
        "totals": {"deliveries_due": 900},
        "configuration": {"date": "2026-11-24 10:00 UTC", "users": users},
        "versions": {"tidewire": "0123456789ab", "Python": "3.11.2"},
        "latencies": {"handshake": {"p50": 5.0, "p95": p95, "p99": 150.0, "p99_9": 160.0}},
        "services": {f"ws:{port}": {"cpu_mean": 0.4, "rss_mib": 90.0}, "web": {"cpu_mean": 0.2, "rss_mib": 150.0}},
        **more,
    }


def rows(before, after):
    return {row.name: row for _, section_rows in compare_runs.sections(before, after) for row in section_rows}


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (100.0, 150.0, "+50%"),
        (100.0, 110.0, "+10% (within noise)"),
        (100.0, 100.0, "+0%"),
        (0.0, 3.0, "from none"),
        (0.0, 0.0, ""),
        (None, 3.0, "only one run has it"),
    ],
)
def test_change_is_a_share_of_the_first(before, after, text):
    assert Row("", before, after).change_text == text


def test_every_figure_of_either_run_is_compared():
    later = result(p95=250.0, lost=2)
    later["latencies"]["resume"] = {"p50": 1.0, "p95": 2.0, "p99": 3.0, "p99_9": 4.0}
    compared = rows(result(), later)
    assert compared["handshake, p95"].change == pytest.approx(1.5)
    assert (compared["lost"].before, compared["lost"].after) == (0, 2)
    assert compared["resume, p99.9"].change_text == "only one run has it"


def test_node_is_the_same_on_another_port():
    compared = rows(result(port=20001), result(port=31000))
    assert compared["ws 1"].change_text == "+0%"


def test_what_was_different_about_the_runs_is_told_and_the_date_is_not():
    assert compare_runs.differences(result(), result(users=80)) == [("users", "50", "80")]


def test_both_files_are_written_beside_the_second_run(tmp_path):
    for name, report in (("a", result()), ("b", result(p95=250.0, title="<b>later</b>"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(report))
    page = compare_runs.main([str(tmp_path / "a"), str(tmp_path / "b")])
    assert page == tmp_path / "b" / "compare.html"
    text = page.read_text()
    assert "+150%" in text
    assert "<b>later" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert "| handshake, p95 | 100 ms | 250 ms | +150% |" in (tmp_path / "b" / "compare.md").read_text()


@pytest.mark.parametrize("text", ["{}", "no json", "[]"])
def test_what_is_no_result_is_refused(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(CompareError, match="is no result of a load test"):
        compare_runs.read(tmp_path)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"users": 80}, "other users (50 and 80)"),
        ({"shape": "storm"}, "other shape (ramp and storm)"),
        ({"hold_seconds": 10.0}, "other seconds (60.0 and 10.0)"),
        ({"journeys": {"Editor": 2}}, 'other journeys ({"Editor": 1} and {"Editor": 2})'),
        ({"pace": 3.0}, "other pace (1.0 and 3.0)"),
        ({"machine": "4 cores"}, "other machine (2 cores and 4 cores)"),
    ],
)
def test_runs_of_another_load_or_machine_are_not_comparable(more, reason):
    before, after = alike(), alike(**more)
    assert compare_runs.not_comparable(before, after) == [reason]
    assert f"**Not comparable**: {reason}." in compare_runs.markdown(before, after)
    assert html.escape(f"Not comparable: {reason}.") in compare_runs.page(before, after)
    assert "%" not in compare_runs.markdown(before, after)


def test_reports_of_two_versions_are_not_comparable():
    before, after = alike(), {**alike(), "report_version": 1}
    assert compare_runs.not_comparable(before, after) == ["other version of the report (none and 1)"]


def test_runs_of_two_commits_are_comparable():
    after = {**alike(), "versions": {"tidewire": "ba9876543210", "Python": "3.11.2"}}
    assert compare_runs.not_comparable(alike(), after) == []
    assert "Not comparable" not in compare_runs.markdown(alike(), after) + compare_runs.page(alike(), after)


def alike(**more):
    found = result()
    configuration = {
        "shape": "ramp",
        "hold_seconds": 60.0,
        "journeys": {"Editor": 1},
        "pace": 1.0,
        "machine": "2 cores",
    }
    return {**found, "configuration": {**found["configuration"], **configuration, **more}}


@pytest.mark.parametrize("lacking", ["title", "passed", "configuration", "versions", "services"])
def test_report_of_another_form_is_no_result(tmp_path, lacking):
    """As of another program, or of a version to come. It ended in a traceback, and as baseline without a report."""
    other = {name: value for name, value in result().items() if name != lacking}
    (tmp_path / "report.json").write_text(json.dumps(other))
    with pytest.raises(CompareError, match=f"is no result of a load test: it has no {lacking}"):
        compare_runs.read(tmp_path)


def test_figures_that_a_report_lacks_are_none():
    other = result(services={"web": {"cpu_seconds": 3.0}})
    assert rows(result(), other)["web"].change_text == "only one run has it"
