"""The compose project as a person, a scraper and an intruder meet it."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.pages import fetch
from tests.sockets import event, open_socket

pytestmark = pytest.mark.compose

LONG_RUNNING = {"nginx", "web", "ws", "relay", "redis", "postgres", "prometheus"}
PUBLISHED = {"nginx", "prometheus"}
# A scrape every 5 s, and DNS asked every 5 s before it.
SCRAPED_SECONDS = 30.0


def wait_for(ask: Callable[[], Any], enough: Callable[[Any], bool], seconds: float) -> Any:
    end = time.monotonic() + seconds
    while not enough(found := ask()):
        assert time.monotonic() < end, f"still {found} after {seconds} s"
        time.sleep(0.25)
    return found


def test_everything_runs_and_is_healthy(compose):
    states = {each["Config"]["Labels"]["com.docker.compose.service"]: each["State"] for each in compose.running()}
    assert set(states) == LONG_RUNNING
    assert {name: state["Health"]["Status"] for name, state in states.items()} == dict.fromkeys(states, "healthy")


async def test_who_logs_in_is_counted_live(compose):
    """Through nginx: page from Gunicorn and PostgreSQL, count from Daphne and Redis."""
    ada, bob = compose.log_in("ada"), compose.log_in("bob")
    page = fetch(f"{compose.url}/", headers={"Cookie": ada})
    assert page.status == 200
    assert "data-users-count" in page.text
    async with open_socket(compose, "/ws/users/", ada) as first:
        await event(first, "users.count", lambda found: found["names"] == ["ada"])
        async with open_socket(compose, "/ws/users/", bob):
            counted = await event(first, "users.count", lambda found: found["count"] == 2)
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
        status = compose.inside(name, "cat", "/proc/1/status").stdout
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert "0" not in facts["Uid"].split(), name
        assert {facts[key] for key in ("CapPrm", "CapEff", "CapBnd")} == {"0" * 16}, name
        assert facts["NoNewPrivs"] == "1", name
        assert "Read-only" in compose.inside(name, "touch", "/planted").stderr, name
        assert each["HostConfig"]["Memory"] > 0, name


def test_only_nginx_and_prometheus_are_published_on_loopback(compose):
    addresses: dict[str, set[str]] = {}
    for each in compose.running():
        service = each["Config"]["Labels"]["com.docker.compose.service"]
        ports: dict[str, Any] = each["NetworkSettings"]["Ports"]
        addresses.setdefault(service, set()).update(
            binding["HostIp"] for bindings in ports.values() for binding in bindings or []
        )
    assert {name: hosts for name, hosts in addresses.items() if hosts} == {name: {"127.0.0.1"} for name in PUBLISHED}


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


def test_prometheus_sees_every_replica(compose):
    asked = f"http://127.0.0.1:{compose.environment['TIDEWIRE_PROMETHEUS_PORT']}/api/v1/query?query=up"

    def up() -> list[tuple[str, str]]:
        found = fetch(asked).json()["data"]["result"]
        return sorted((each["metric"]["job"], each["value"][1]) for each in found)

    wait_for(up, lambda found: found == [("prometheus", "1"), ("web", "1"), ("ws", "1"), ("ws", "1")], SCRAPED_SECONDS)


async def test_scaling_ws_up_and_down_needs_no_restart_of_nginx_and_breaks_no_socket(compose):
    """All four replicas get sockets; those of the two that go are closed with a code to reconnect by."""
    ada = compose.log_in("ada")
    started = compose.running("nginx")[0]["State"]["StartedAt"]
    await asyncio.to_thread(compose.up, ws=4)
    # Two seconds is how long nginx keeps an answer of the name server.
    await asyncio.sleep(3)
    sockets = [await open_socket(compose, "/ws/users/", ada) for _ in range(24)]
    try:
        held = await asyncio.to_thread(connections_by_node, compose)
        assert len(held) == 4
        assert min(held.values()) >= 3
        await asyncio.to_thread(compose.up, ws=2)
        kept = sum((await asyncio.to_thread(connections_by_node, compose)).values())
        closed = [each for each in sockets if each.close_code is not None]
        assert len(closed) == len(sockets) - kept
        assert all(each.close_code in (*range(3000, 3500), *range(4000, 4500)) for each in closed)
        for _ in range(6):
            async with open_socket(compose, "/ws/users/", ada) as again:
                await event(again, "users.count")
    finally:
        for each in sockets:
            await each.close()
    assert compose.running("nginx")[0]["State"]["StartedAt"] == started


def connections_by_node(compose) -> dict[str, float]:
    """Container -> open sockets, as its own metrics say."""
    asking = "from urllib.request import urlopen;print(urlopen('http://127.0.0.1:8300/metrics').read().decode())"
    found = {}
    for each in compose.running("ws"):
        text = compose.inside(each["Id"], "python", "-c", asking).stdout
        samples = [line for line in text.splitlines() if line.startswith("tidewire_connections{")]
        found[each["Name"]] = sum(float(line.rpartition(" ")[2]) for line in samples)
    return found


def test_nothing_was_refused_by_redis_in_all_of_this(compose):
    """The list of allowed commands is long enough: it runs last, after everything above used them."""
    assert "NOPERM" not in compose("logs", "--no-color", "web", "ws", "relay")
