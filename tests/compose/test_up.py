"""The compose project as used by a person, a scraper and an intruder."""

import asyncio
import base64
import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.compose.conftest import UP_SECONDS
from tests.http_client import fetch
from tests.sockets import event, open_socket

pytestmark = pytest.mark.compose

CHECKED = {"nginx", "web", "ws", "relay", "redis", "postgres", "prometheus", "alertmanager"}
# Their images contain only one program, without a tool for a health check; Prometheus monitors them.
EXPORTERS = {"redis-exporter", "nginx-exporter", "postgres-exporter"}
PUBLISHED = {"nginx", "prometheus"}
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
ROOT = Path(__file__).resolve().parents[2]
# A scrape every 5 s, after a DNS lookup every 5 s.
SCRAPED_SECONDS = 30.0


def wait_for(ask: Callable[[], Any], enough: Callable[[Any], bool], seconds: float) -> Any:
    end = time.monotonic() + seconds
    while not enough(answer := ask()):
        assert time.monotonic() < end, f"still {answer} after {seconds} s"
        time.sleep(0.25)
    return answer


def test_everything_runs_and_is_healthy(compose):
    states = {each["Config"]["Labels"]["com.docker.compose.service"]: each["State"] for each in compose.running()}
    assert set(states) == CHECKED | EXPORTERS | compose.optional
    assert {name: states[name]["Health"]["Status"] for name in CHECKED} == dict.fromkeys(CHECKED, "healthy")
    assert {name for name in EXPORTERS if states[name]["Status"] != "running"} == set()


async def test_who_logs_in_is_counted_live(compose):
    """The page comes from Gunicorn and PostgreSQL, the count from Daphne and Redis, both through nginx."""
    ada, bob = compose.log_in("ada"), compose.log_in("bob")
    page = fetch(f"{compose.url}/", headers={"Cookie": ada})
    assert page.status == 200
    assert "data-users-count" in page.text
    async with open_socket(compose, "/ws/users/", ada) as first:
        await event(first, "users.count", lambda count: count["names"] == ["ada"])
        async with open_socket(compose, "/ws/users/", bob):
            counted = await event(first, "users.count", lambda count: count["count"] == 2)
    assert counted["names"] == ["ada", "bob"]


def test_static_files_come_from_nginx_and_may_be_kept(compose):
    manifest = json.loads(compose("exec", "-T", "web", "cat", "/app/static/staticfiles.json"))
    style = fetch(f"{compose.url}/static/{manifest['paths']['web/tidewire.css']}")
    assert (style.status, style.headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_and_metrics_are_not_public(compose, path):
    assert fetch(f"{compose.url}{path}").status == 404


def test_no_container_has_privileges_or_a_file_system_to_write(compose):
    for each in compose.running():
        name = each["Name"].strip("/")
        # Read from the kernel, because not every image contains a program to query inside.
        facts = status_of(each["State"]["Pid"])
        assert "0" not in facts["Uid"].split(), name
        assert "0" not in facts["Gid"].split(), name
        assert {facts[key] for key in CAPABILITIES} == {"0" * 16}, name
        assert facts["NoNewPrivs"] == "1", name
        assert facts["Seccomp"] == "2", name
        assert root_options(each["State"]["Pid"]) >= {"ro"}, name
        assert each["HostConfig"]["Memory"] > 0, name
        assert each["HostConfig"]["PidsLimit"] > 0, name
        assert each["HostConfig"]["NanoCpus"] > 0, name


@pytest.mark.parametrize("service", ["web", "ws", "relay", "nginx", "redis", "postgres"])
def test_a_shell_inside_can_write_nothing_and_become_nobody(compose, service):
    """These are the first attempts of an intruder inside a container."""
    tried = "id -u; touch /planted /usr/bin/planted /app/planted 2>&1; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status"
    output = compose("exec", "-T", service, "sh", "-c", tried)
    assert not output.startswith("0\n")
    assert output.count("Read-only file system") >= 2, output
    assert re.search(r"CapEff:\s+0{16}\nNoNewPrivs:\s+1\n", output), output


@pytest.mark.parametrize("service", ["web", "ws"])
def test_an_image_holds_no_compiler_and_no_installer(compose, service):
    output = compose("exec", "-T", service, "sh", "-c", "which gcc cc g++ make; ls /venv/bin/pip*; true")
    assert output == ""


@pytest.mark.parametrize("service", ["web", "ws"])
def test_an_image_says_what_it_is(compose, service):
    [image] = {each["Image"] for each in compose.running(service)}
    asked = ["docker", "image", "inspect", image, "--format", "{{json .Config}}"]
    config = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert {"title", "description", "licenses", "version", "revision"} <= set(labels)
    assert config["User"] == "10001:10001"
    # Exec form: signals must reach the process itself.
    assert config["Cmd"][0] != "/bin/sh"
    assert config["Healthcheck"]["Test"][0] == "CMD"


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def root_options(pid: int) -> set[str]:
    for line in Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields[4] == "/":
            return set(fields[5].split(","))
    raise AssertionError(f"{pid} has no root")


def test_only_nginx_and_prometheus_are_published_on_loopback(compose):
    addresses: dict[str, set[str]] = {}
    for each in compose.running():
        service = each["Config"]["Labels"]["com.docker.compose.service"]
        ports: dict[str, Any] = each["NetworkSettings"]["Ports"]
        addresses.setdefault(service, set()).update(
            binding["HostIp"] for bindings in ports.values() for binding in bindings or []
        )
    assert {name: hosts for name, hosts in addresses.items() if hosts} == {
        name: {"127.0.0.1"} for name in PUBLISHED | compose.optional & {"grafana"}
    }


def test_redis_answers_nobody_without_the_password_but_a_ping(compose):
    assert compose("exec", "-T", "redis", "redis-cli", "ping").strip() == "PONG"
    assert "NOPERM" in compose("exec", "-T", "redis", "redis-cli", "get", "tidewire:versions", check=False)


def test_the_kit_itself_may_not_touch_what_is_not_its_own(compose):
    code = (
        "import os,redis,pathlib;"
        "r=redis.Redis.from_url(pathlib.Path('/run/secrets/TIDEWIRE_REDIS_URL').read_text());"
        "\nfor c in (['FLUSHALL'],['CONFIG','GET','*'],['KEYS','*'],['HGET','other','x'],['PUBLISH','other','x']):"
        "\n  try: print(c, r.execute_command(*c))"
        "\n  except redis.exceptions.NoPermissionError: print('refused')"
    )
    assert compose("exec", "-T", "web", "python", "-c", code).split() == ["refused"] * 5


def test_prometheus_sees_every_replica_and_every_exporter(compose):
    once = ("alertmanager", "nginx", "postgres", "prometheus", "redis", "relay", "web")
    probes = {"node": "node-exporter", "site": "blackbox-exporter"}
    probed = [(job, "1" if service in compose.optional else "0") for job, service in probes.items()]
    expected = sorted([*((job, "1") for job in once), *probed, ("ws", "1"), ("ws", "1")])

    def up() -> list[tuple[str, str]]:
        return sorted((each["metric"]["job"], each["value"][1]) for each in query(compose, "up"))

    wait_for(up, lambda targets: targets == expected, SCRAPED_SECONDS)


@pytest.mark.parametrize("metric", ["redis_up", "pg_up", "nginx_up", "probe_success"])
def test_an_exporter_reaches_what_it_speaks_of(compose, metric):
    wait_for(
        lambda: [each["value"][1] for each in query(compose, metric)], lambda values: values == ["1"], SCRAPED_SECONDS
    )


def test_the_hosts_disk_is_measured(compose):
    free = "node_filesystem_avail_bytes/node_filesystem_size_bytes"
    shares = wait_for(lambda: [float(each["value"][1]) for each in query(compose, free)], bool, SCRAPED_SECONDS)
    assert all(0 <= share <= 1 for share in shares)


def test_grafana_has_its_source_and_its_dashboards(compose):
    if "grafana" not in compose.optional:
        pytest.skip("compose: this machine has no image grafana/grafana and cannot pull one")
    password = (Path(compose.environment["TIDEWIRE_SECRETS"]) / "grafana_password").read_text()
    authority = f"admin:{password}@127.0.0.1:{compose.environment['TIDEWIRE_GRAFANA_PORT']}"
    basic = {"Authorization": f"Basic {base64.b64encode(authority.partition('@')[0].encode()).decode()}"}
    url = f"http://{authority.partition('@')[2]}/api"
    wait_for(lambda: fetch(f"{url}/health").status, lambda status: status == 200, UP_SECONDS)
    assert [each["uid"] for each in fetch(f"{url}/datasources", headers=basic).json()] == ["prometheus"]
    written = len(list((ROOT / "deploy/grafana/dashboards").glob("*.json")))
    wait_for(
        lambda: len(fetch(f"{url}/search?type=dash-db", headers=basic).json()),
        lambda dashboards: dashboards == written,
        SCRAPED_SECONDS,
    )


def test_alerts_have_somewhere_to_go(compose):
    def alertmanagers() -> list[str]:
        answer = ask(compose, "alertmanagers")["activeAlertmanagers"]
        return [each["url"] for each in answer]

    wait_for(alertmanagers, lambda urls: urls == ["http://alertmanager:9093/api/v2/alerts"], SCRAPED_SECONDS)


def test_every_rule_is_loaded(compose):
    """All rules of the files are loaded, and each is evaluated without an error."""
    text = "".join(path.read_text() for path in (ROOT / "deploy/prometheus/rules").glob("*.yml"))
    written = re.findall(r"^\s+- (?:alert|record): (\S+)", text, re.MULTILINE)
    rules = [rule for group in ask(compose, "rules")["groups"] for rule in group["rules"]]
    assert sorted(rule["name"] for rule in rules) == sorted(written)
    assert [rule["name"] for rule in rules if rule.get("lastError")] == []


def ask(compose, path: str) -> Any:
    return fetch(f"http://127.0.0.1:{compose.environment['TIDEWIRE_PROMETHEUS_PORT']}/api/v1/{path}").json()["data"]


def query(compose, expression: str) -> list[dict[str, Any]]:
    return list(ask(compose, f"query?query={expression}")["result"])


async def test_scaling_ws_up_and_down_needs_no_restart_of_nginx_and_breaks_no_socket(compose):
    """All four replicas get sockets. Those of the two removed replicas are closed with a reconnect code."""
    ada = compose.log_in("ada")
    started = compose.running("nginx")[0]["State"]["StartedAt"]
    await asyncio.to_thread(compose.up, ws=4)
    # nginx caches a response of the name server for two seconds.
    await asyncio.sleep(3)
    sockets = [await open_socket(compose, "/ws/users/", ada) for _ in range(24)]
    try:
        connections = await asyncio.to_thread(connections_by_node, compose)
        assert len(connections) == 4
        assert min(connections.values()) >= 3
        await asyncio.to_thread(compose.up, ws=2)
        remaining = sum((await asyncio.to_thread(connections_by_node, compose)).values())
        closed = [each for each in sockets if each.close_code is not None]
        assert len(closed) == len(sockets) - remaining
        assert all(each.close_code in (*range(3000, 3500), *range(4000, 4500)) for each in closed)
        for _ in range(6):
            async with open_socket(compose, "/ws/users/", ada) as again:
                await event(again, "users.count")
    finally:
        for each in sockets:
            await each.close()
    assert compose.running("nginx")[0]["State"]["StartedAt"] == started


def connections_by_node(compose) -> dict[str, float]:
    """Return the open sockets by container, from the metrics of each."""
    asking = "from urllib.request import urlopen;print(urlopen('http://127.0.0.1:8300/metrics').read().decode())"
    results = {}
    for each in compose.running("ws"):
        text = compose.inside(each["Id"], "python", "-c", asking).stdout
        samples = [line for line in text.splitlines() if line.startswith("tidewire_connections{")]
        results[each["Name"]] = sum(float(line.rpartition(" ")[2]) for line in samples)
    return results


def test_nothing_was_refused_by_redis_in_all_of_this(compose):
    """The list of allowed commands is complete: this test runs last, after the others have used the commands."""
    assert "NOPERM" not in compose("logs", "--no-color", "web", "ws", "relay", "redis-exporter")
