"""Alerts: promtool proves that each fires, stays quiet and ends, and each has a runbook."""

import functools
import re
import subprocess
from collections import defaultdict

import pytest
import yaml

from deploy.local.layout import ROOT
from deploy.local.system import find_program
from deploy.prometheus.metrics_page import declared, exported

RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
TESTS = sorted((ROOT / "deploy" / "prometheus" / "tests").glob("*.yml"))
METRIC = re.compile(r"(?<![:\w])(?:tidewire|process)_[a-z_0-9]+\b(?!:)")
HEADINGS = ("Means", "Users see", "Check first", "Causes", "Do", "Over when")
# It always fires, so that its silence is noticed.
WATCHDOG = "TidewireWatchdog"
ABSENT = re.compile(r'label_replace\(absent\((\w+)(?:\{[^}]*\})?\), "metric", "(\w+)", "", ""\)')
# A rule on whether something answers has no other figure.
ANSWERS = re.compile(r"\bup\{|_up\b|probe_success")


@functools.cache
def rules():
    return [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


ALERTS = [rule for rule in rules() if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})


@functools.cache
def cases():
    """Return the number of expected alerts in each promtool case, by alert."""
    results = defaultdict(list)
    for path in TESTS:
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for case in test["alert_rule_test"]:
                results[case["alertname"]].append(len(case.get("exp_alerts", [])))
    return results


@pytest.fixture(scope="module")
def promtool():
    program = find_program("promtool")
    if program is None:
        pytest.skip("there is no promtool: Debian's package prometheus has it")
    return program


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_keep_what_their_tests_say(promtool, path):
    done = subprocess.run(
        [promtool, "test", "rules", path.name], cwd=path.parent, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_of_rules_has_a_file_of_tests():
    assert {path.stem for path in RULES} - {"recording"} == {path.stem for path in TESTS}


@pytest.mark.parametrize("name", [name for name in NAMES if name != WATCHDOG])
def test_every_alert_is_proven_to_be_quiet_to_fire_and_to_end(name):
    counts = cases()[name]
    fires = next((i for i, count in enumerate(counts) if count), None)
    assert fires, "quiet before it fires"
    assert 0 in counts[fires:], "over afterwards"


def test_the_map_names_every_alert_and_what_made_it_fire():
    """In the page's list and its table, where names have no prefix."""
    text = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    listed, _, table = text.partition("\n## The fault behind each alert")
    for part in (listed.partition("\n## Alerts")[2], table):
        assert {name for name in NAMES if not re.search(rf"\b{name.removeprefix('Tidewire')}\b", part)} == set()


def test_no_test_is_of_an_alert_that_is_not_there():
    assert set(cases()) == set(NAMES)


def test_the_watchdog_always_fires():
    assert cases()[WATCHDOG]
    assert all(cases()[WATCHDOG])


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']} {rule['labels']['severity']}")
def test_every_alert_has_a_severity_a_summary_and_a_runbook(rule):
    severity = rule["labels"]["severity"]
    assert severity in {"critical", "warning"} or (severity == "none" and rule["alert"] == WATCHDOG)
    if not ANSWERS.search(rule["expr"]) and rule["alert"] not in {"TidewireMetricMissing", WATCHDOG}:
        assert "$value" in rule["annotations"]["summary"], "a summary has its figure"
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    text = (ROOT / path).read_text(encoding="utf-8")
    assert anchor == rule["alert"].lower()
    section = text.partition(f"\n## {rule['alert']}\n")[2].partition("\n## ")[0]
    missing = [heading for heading in HEADINGS if f"**{heading}.**" not in section]
    assert not missing, f"{path}: {rule['alert']} says nothing under {missing}"


def test_every_metric_that_a_rule_uses_is_declared():
    known = {exported(metric) for metric in declared()} | {"process_start_time_seconds"}
    used = {re.sub(r"_(bucket|count|sum)$", "", name) for rule in rules() for name in METRIC.findall(rule["expr"])}
    assert used <= known


def test_the_absence_of_each_metric_that_an_alert_uses_is_an_alert():
    [missing] = [rule["expr"] for rule in ALERTS if rule["alert"] == "TidewireMetricMissing"]
    watched = ABSENT.findall(missing)
    assert len(watched) == missing.count("absent(")
    assert all(metric == named for metric, named in watched)
    used = {name for rule in rules() if rule["expr"] != missing for name in METRIC.findall(rule["expr"])}
    assert {name.replace("_bucket", "_count") for name in used} == {metric for metric, _named in watched}


def test_a_soon_alert_is_not_late():
    """An alert on what users notice at once waits for no more than half a minute."""
    at_once = {"SiteDown", "NginxDown", "PostgresDown", "RedisDown", "RedisFull", "Stale", "SocketsGone", "SavesFail"}
    waits = {rule["alert"].removeprefix("Tidewire"): rule.get("for", "0s") for rule in ALERTS}
    assert {name: waits[name] for name in at_once if int(waits[name].removesuffix("s")) > 30} == {}


LABELLED = {rule["alert"] for rule in ALERTS if "by (instance" in rule["expr"] and "for" in rule}


def test_no_alert_waits_by_the_name_of_a_process():
    """After a deploy every process has a new name, with which a wait would begin again. A probed address stays."""
    assert {"TidewireSiteDown", "TidewireCertificateEnds"} == LABELLED
