"""Grafana's dashboards: the committed files match the code, and all metrics in their queries exist."""

import json
import re

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard as Model

from deploy.grafana.write import DASHBOARDS, DIRECTORY, path, text
from deploy.local.layout import ROOT
from deploy.prometheus.metrics_page import names

EVERY = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels()]
# Metrics of the exporters and of Prometheus itself. Other tests check their names against the running programs.
ELSEWHERE = re.compile(r"\b(?:redis|nginx|pg|node|probe|process|scrape)_\w+|\bup\b|\bALERTS\b")

# Grafana's names of units. Grafana shows an unknown unit as text behind the figure.
UNITS = {"short", "s", "bytes", "cps", "reqps", "percentunit"}


def named(value) -> str | None:
    return getattr(value, "title", None)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=named)
def test_what_is_committed_is_what_the_code_says(dashboard):
    """`make generate` writes the files."""
    assert path(dashboard).read_text(encoding="utf-8") == text(dashboard)


def test_nothing_else_is_given_to_grafana():
    assert sorted(DIRECTORY.iterdir()) == sorted(path(dashboard) for dashboard in DASHBOARDS)


@pytest.mark.parametrize(("dashboard", "panel"), EVERY, ids=named)
def test_every_metric_of_a_panel_is_declared_or_an_exporters(dashboard, panel):
    for expr, _legend in panel.queries:
        used = set(re.findall(r"(?<![:\w])tidewire_\w+", expr))
        assert {re.sub(r"_bucket$", "", name) for name in used} <= names()
        assert used or "tidewire:" in expr or ELSEWHERE.search(expr)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=named)
def test_nothing_is_left_to_what_grafana_would_choose(dashboard):
    """Grafana's default thresholds turn every value over 80 red, and its variables select a single value."""
    document = json.loads(text(dashboard))
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
    for panel in document["panels"]:
        if panel["type"] in {"stat", "timeseries"}:
            assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None, panel["title"]
        if panel["type"] == "state-timeline":
            [mapping] = panel["fieldConfig"]["defaults"]["mappings"]
            assert mapping["options"].keys() == {"0", "1"}
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            assert variable["current"]["value"] == ["$__all"]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=named)
def test_grafanas_own_model_reads_every_word(dashboard):
    """The model drops fields that it does not know, which may only be these fields of annotations."""
    document = json.loads(text(dashboard))
    for mark in document["annotations"]["list"]:
        for name in ("titleFormat", "textFormat", "step"):
            del mark[name]
    assert json.loads(json.dumps(Model.from_json(document), cls=JSONEncoder)) == document


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=named)
def test_panels_fill_the_grid_and_do_not_overlap(dashboard):
    """Grafana would move panels that overlap or leave gaps."""
    taken = set()
    for panel in json.loads(text(dashboard))["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
    assert taken == {(x, y) for x in range(24) for y in range(max(y for _x, y in taken) + 1)}


@pytest.mark.parametrize(("dashboard", "panel"), EVERY, ids=named)
def test_every_alert_that_a_panel_names_is_one(dashboard, panel):
    rules = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "deploy/prometheus/rules").glob("*.yml"))
    for alert in re.findall(r"Tidewire\w+", panel.description):
        assert f"alert: {alert}\n" in rules


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=named)
def test_every_dashboard_has_its_variables_links_and_annotations(dashboard):
    document = json.loads(text(dashboard))
    assert [each["name"] for each in document["templating"]["list"]] == ["node", "consumer", "runbooks"]
    assert {each["name"] for each in document["annotations"]["list"]} == {"starts", "drains", "alerts"}
    assert any(each["title"] == "Runbooks" for each in document["links"])
    # The uid of the provisioned data source. Any other would show "not found" in every panel.
    source = yaml.safe_load((ROOT / "deploy/compose/grafana-datasource.yml").read_text(encoding="utf-8"))
    [given] = {panel["datasource"]["uid"] for panel in document["panels"] if panel["type"] != "row"}
    assert given == source["datasources"][0]["uid"]


def test_the_first_row_of_operations_says_whether_the_site_works():
    """Before anything else: alerts, the probe, pages, saves, sockets, stale nodes, the outbox, and each neighbour."""
    first = next(each for each in DASHBOARDS if each.uid == "tidewire-operations").rows[0]
    asked = " ".join(expr for panel in first.panels for expr, _legend in panel.queries)
    for needed in (
        *("ALERTS", "probe_success", "requests_failed", "saves_failed", "connections:sum offset 10m", "tidewire_stale"),
        *("tidewire_outbox_oldest_seconds", "nginx_up", "pg_up", "redis_up", "ws|web|relay"),
    ):
        assert needed in asked, needed


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=named)
def test_a_dashboard_has_few_enough_panels_to_read(dashboard):
    graphs = [panel for panel in dashboard.panels() if panel.kind != "stat"]
    assert len(graphs) <= 16
    # A line that vanishes at 0 looks like a metric that is missing.
    assert [panel.title for panel in graphs if any(expr.endswith("> 0") for expr, _legend in panel.queries)] == []


def test_the_watchdog_is_no_alert_on_a_dashboard():
    for dashboard in DASHBOARDS:
        for expr in re.findall(r"ALERTS\{[^}]*\}", text(dashboard).replace('\\"', '"')):
            assert 'alertname!="TidewireWatchdog"' in expr
