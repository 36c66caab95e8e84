"""Grafana's dashboards: what is committed is what the code says, and it asks for what exists."""

import json
import re

import pytest
import yaml

from deploy.grafana.write import DASHBOARDS, DIRECTORY, path, text
from deploy.local.layout import ROOT
from deploy.prometheus.metrics_page import names

EVERY = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels()]
# What the exporters and Prometheus itself bring: their names are proven where they run.
ELSEWHERE = re.compile(r"\b(?:redis|nginx|process|scrape)_\w+|\bup\b|\bALERTS\b")


def named(value) -> str | None:
    return getattr(value, "title", None)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=named)
def test_what_is_committed_is_what_the_code_says(dashboard):
    """`make monitoring` writes them anew."""
    assert path(dashboard).read_text(encoding="utf-8") == text(dashboard)


def test_nothing_else_is_given_to_grafana():
    assert sorted(DIRECTORY.iterdir()) == sorted(path(dashboard) for dashboard in DASHBOARDS)


@pytest.mark.parametrize(("dashboard", "panel"), EVERY, ids=named)
def test_every_metric_of_a_panel_is_declared_or_an_exporters(dashboard, panel):
    for expr, _legend in panel.queries:
        used = set(re.findall(r"(?<![:\w])tidewire_\w+", expr))
        assert {re.sub(r"_bucket$", "", name) for name in used} <= names()
        assert used or "tidewire:" in expr or ELSEWHERE.search(expr)


@pytest.mark.parametrize(("dashboard", "panel"), EVERY, ids=named)
def test_every_alert_that_a_panel_names_is_one(dashboard, panel):
    rules = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "deploy/prometheus/rules").glob("*.yml"))
    for alert in re.findall(r"Tidewire\w+", panel.says):
        assert f"alert: {alert}\n" in rules


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=named)
def test_every_dashboard_has_its_variables_links_and_annotations(dashboard):
    made = json.loads(text(dashboard))
    assert [each["name"] for each in made["templating"]["list"]] == ["node", "consumer", "runbooks"]
    assert {each["name"] for each in made["annotations"]["list"]} == {"starts", "drains", "alerts"}
    assert any(each["title"] == "Runbooks" for each in made["links"])
    # The uid of the provisioned source; another one would show "not found" in every panel.
    source = yaml.safe_load((ROOT / "deploy/compose/grafana-datasource.yml").read_text(encoding="utf-8"))
    [given] = {panel["datasource"]["uid"] for panel in made["panels"] if panel["type"] != "row"}
    assert given == source["datasources"][0]["uid"]
