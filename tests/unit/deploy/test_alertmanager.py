"""Messages: which alerts of an incident are sent, by the inhibitions of deploy/compose/alertmanager.yml."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml

from deploy.local.layout import ROOT
from deploy.local.system import find_program

FILE = ROOT / "deploy/compose/alertmanager.yml"
CONFIG = yaml.safe_load(FILE.read_text(encoding="utf-8"))
RULES = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "deploy/prometheus/rules").glob("*.yml"))
NAMES = set(re.findall(r"alert: (\w+)", RULES))
MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')

# The alerts that fire in an incident on the Compose stack, and the messages that must be sent. A job stands behind a
# colon.
INCIDENTS = {
    "nginx is stopped": (
        "NginxDown SiteDown SocketsGone ReconnectStorm AbnormalCloses Ghosts",
        "NginxDown",
    ),
    "the site fails, and its parts answer": ("SiteDown WebErrors SavesFail WebSlow", "SiteDown"),
    "PostgreSQL hangs": (
        (
            "PostgresDown SiteDown WebErrors SavesFail WebSlow OutboxStuck RelayStuck NoTargets:web ScrapeMissing:web "
            "ScrapeMissing:postgres ScrapeMissing:relay ReplicasMissing:web"
        ),
        "PostgresDown",
    ),
    "Redis hangs": (
        (
            "RedisDown Stale RedisErrors RedisReconnects OutboxStuck RelayStuck Dropped ResumeGaps Ghosts WebSlow "
            "DeliveryLateFast ScrapeMissing:redis"
        ),
        "RedisDown",
    ),
    "one node cannot reach Redis": ("Stale RedisErrors Dropped", "Stale"),
    "the memory of Redis is full": ("RedisFull RedisMemory RedisErrors OutboxStuck RelayStuck Dropped", "RedisFull"),
    "a killed node": (
        "NodeLost Ghosts ScrapeMissing:ws ReconnectStorm AbnormalCloses ReplicasMissing:ws",
        "NodeLost",
    ),
    "a node hangs, and its users with it": ("NodeLost SocketsGone ScrapeMissing:ws Ghosts", "NodeLost SocketsGone"),
    "a paused relay": ("ScrapeMissing:relay ReplicasMissing:relay", "ScrapeMissing:relay"),
    "a relay is gone": ("NoTargets:relay ReplicasMissing:relay", "NoTargets:relay"),
    "a relay is gone while a node is lost": ("NodeLost ScrapeMissing:relay", "NodeLost ScrapeMissing:relay"),
    "every save fails": ("SavesFail", "SavesFail"),
    "the disk is full": (
        "DiskFull DiskLow WebErrors SavesFail RelayStuck OutboxStuck PostgresConnections",
        "DiskFull PostgresConnections",
    ),
}


def labels(alert: str) -> dict[str, str]:
    name, _, job = alert.partition(":")
    return {"alertname": f"Tidewire{name}"} | ({"job": job} if job else {})


def matches(matchers: list[str], alert: dict[str, str]) -> bool:
    """Return whether all matchers fit; a regular expression must fit the whole value."""
    for name, operator, value in (MATCHER.fullmatch(each).groups() for each in matchers):
        found = alert.get(name, "")
        if not (re.fullmatch(value, found) if operator == "=~" else found == value):
            return False
    return True


def sent(firing: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the alerts that no other one inhibits. Like Alertmanager: an inhibited alert still inhibits."""
    return [
        alert
        for alert in firing
        if not any(
            matches(rule["target_matchers"], alert)
            and matches(rule["source_matchers"], other)
            and all(alert.get(name) == other.get(name) for name in rule.get("equal", []))
            for rule in CONFIG["inhibit_rules"]
            for other in firing
            if other != alert
        )
    ]


@pytest.mark.parametrize("name", INCIDENTS)
def test_an_incident_sends_its_cause_alone(name):
    fires, expected = INCIDENTS[name]
    assert sent([labels(each) for each in fires.split()]) == [labels(each) for each in expected.split()]


@pytest.mark.parametrize("name", INCIDENTS)
def test_an_incident_hides_nothing_of_another_site(name):
    """An Alertmanager may serve two sites. Each one's Prometheus has an external label."""
    fires = [labels(each) for each in INCIDENTS[name][0].split()]
    here, there = ([{**each, "cluster": cluster} for each in fires] for cluster in ("staging", "production"))
    for alert in there:
        assert alert in sent([*here, alert])
    assert CONFIG["route"]["group_by"] == ["cluster", "alertname"]


def test_every_alert_that_an_inhibition_names_is_one():
    for rule in CONFIG["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            name, _operator, value = MATCHER.fullmatch(matcher).groups()
            if name == "alertname":
                prefix, _, names = value.removesuffix(")").partition("(")
                assert {prefix + each for each in names.split("|")} <= NAMES, matcher


def test_no_critical_alert_hides_itself_behind_a_warning_that_wakes_no_one():
    """A warning may hide warnings; only a critical alert may hide a critical one."""
    severities = {}
    for name, severity in re.findall(r"alert: Tidewire(\w+)\n.*?severity: (\w+)", RULES, re.DOTALL):
        severities.setdefault(name, set()).add(severity)
    critical = [name for name, found in severities.items() if "critical" in found]
    for name in critical:
        for job in ("", ":web", ":ws", ":relay"):
            for other, found in severities.items():
                if "critical" not in found:
                    hidden, hider = labels(name + job), labels(other + job)
                    assert hidden in sent([hidden, hider]), f"{other} hides {name}"


def test_alertmanager_takes_its_configuration():
    program = find_program("amtool")
    if program is None:
        pytest.skip("there is no amtool: Debian's package prometheus-alertmanager has it")
    done = subprocess.run([program, "check-config", str(FILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("receiver", ["", "    webhook_configs:\n      - url: https://alerts.example.com\n"])
def test_make_says_that_no_receiver_is_set(tmp_path, receiver):
    """The line of `make compose-up`, on a configuration with a receiver and on one without."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ncompose-up:")[2].partition("\n\n")[0]
    [line] = [each.strip().removeprefix("@") for each in recipe.splitlines() if "_configs:" in each]
    file = tmp_path / "alertmanager.yml"
    file.write_text(f"{FILE.read_text(encoding='utf-8')}{receiver}", encoding="utf-8")
    done = subprocess.run(
        [shutil.which("sh") or "sh", "-c", line.replace("$(PYTHON)", sys.executable).replace("$$", "$")],
        cwd=ROOT,
        env={"TIDEWIRE_ALERTMANAGER": str(file), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("alerts: none is sent") is (not receiver)
