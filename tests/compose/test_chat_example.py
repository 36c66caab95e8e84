"""The chat of examples/ in containers of its own: nginx, two servers, Redis, Prometheus, load test and dashboards."""

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.parse
from collections import Counter
from pathlib import Path

import pytest

from deploy.grafana.connected_dashboard import CONNECTED
from deploy.local.layout import free_port
from tests.compose.conftest import BUILD_SECONDS, ROOT, Compose, why_no_engine
from tests.compose.test_up import wait_for
from tests.http_client import fetch
from tests.integration.loadtest.test_whole_run import patient_objectives
from tests.monitoring.monitored_users import of, substituted
from tests.sockets import WAIT_SECONDS, open_socket

pytestmark = pytest.mark.compose

USERS, SERVERS = 30, 2
RUN_SECONDS = 240.0
SCRAPED_SECONDS = 60.0
# Panels of the connected users that a plain consumer fills. People and limits belong to topics and nodes.
PANELS = {
    "Sockets on each node",
    "Sockets by node",
    "Sockets by consumer",
    "How long sockets lived",
    "Connects by result",
    "Closes by code",
}


@pytest.fixture(scope="module")
def chat():
    if reason := why_no_engine():
        pytest.skip(reason)
    port, prometheus = free_port(), free_port()
    ports = {"CHAT_PORT": str(port), "CHAT_PROMETHEUS_PORT": str(prometheus), "CHAT_VERSION": "test"}
    environment = os.environ | ports | {"COMPOSE_FILE": "examples/chat/compose.yaml", "COMPOSE_PROFILES": ""}
    project = Compose(f"tidewire-chat-test-{os.getpid()}", port, environment)
    project("build", timeout_seconds=BUILD_SECONDS)
    try:
        project("up", "--detach", "--wait")
        yield project
    finally:
        project("down", "--volumes", "--timeout", "5", check=False)


def values(chat, expression):
    """Return the samples of a query, each as its labels and its value."""
    port = chat.environment["CHAT_PROMETHEUS_PORT"]
    answer = fetch(f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(expression)}")
    assert answer.status == 200, answer.text
    return [(each["metric"], float(each["value"][1])) for each in answer.json()["data"]["result"]]


def connected(chat):
    return sum(value for _, value in values(chat, 'tidewire_connections{consumer="ChatConsumer"}'))


def test_the_load_test_accounts_for_each_message_and_the_dashboards_show_the_sockets(chat, tmp_path):
    wait_for(lambda: len(values(chat, 'up{job="ws"} == 1')), lambda count: count == SERVERS, SCRAPED_SECONDS)
    command = [
        *(sys.executable, "-m", "loadtest", "--target", chat.url, "--locustfile", "examples/chat/locustfile.py"),
        *("--users", str(USERS), "--seconds", "30", "--objectives", str(patient_objectives(tmp_path))),
    ]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}/src:{ROOT}/services:{ROOT}"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        try:
            # A user that leaves and returns is not counted for a moment.
            wait_for(lambda: connected(chat), lambda count: count >= USERS - 5, SCRAPED_SECONDS)
            of_each = values(chat, 'tidewire_connections{consumer="ChatConsumer"} > 0')
            output, _ = run.communicate(timeout=RUN_SECONDS)
        finally:
            run.kill()
    assert run.returncode == 0, output[-3000:]
    assert len(of_each) == SERVERS, of_each
    directory = re.search(r"^report: (\S+)/report.html$", output, re.MULTILINE)[1]
    totals = json.loads((Path(directory) / "report.json").read_text(encoding="utf-8"))["totals"]
    sys.stdout.write(f"{totals}\n")
    assert totals["deliveries"] == totals["deliveries_due"] > 0
    shown = {
        panel.title
        for panel in CONNECTED.panels()
        if all(values(chat, substituted(expression, window="2m")) for expression in of(panel.queries))
    }
    assert shown >= PANELS


async def test_a_server_that_is_taken_away_closes_its_sockets_with_a_code_of_the_protocol(chat):
    """Its clients open another one, through nginx, and talk to those of the other server meanwhile."""
    clients = [await open_socket(chat, "/ws/chat/drained/") for _ in range(20)]
    wait_for(lambda: connected(chat), lambda count: count == len(clients), SCRAPED_SECONDS)
    on_each = {value for _, value in values(chat, 'tidewire_connections{consumer="ChatConsumer"}')}
    await asyncio.to_thread(chat, "up", "--detach", "--no-recreate", "--scale", "chat=1")
    # nginx passes the closes on.
    ends = {asyncio.create_task(client.wait_closed()) for client in clients}
    async with asyncio.timeout(WAIT_SECONDS):
        while len(clients) - len(ends) not in on_each:
            _, ends = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    closed = [client for client in clients if client.close_code is not None]
    assert Counter(client.close_code for client in closed) == {1012: len(closed)}
    assert 0 < len(closed) < len(clients)
    # nginx has the addresses of both for two seconds more, and passes over the one that has ended.
    back = [await open_socket(chat, "/ws/chat/drained/") for _ in closed]
    staying = next(client for client in clients if client.close_code is None)
    await staying.send(json.dumps({"text": "still here"}))
    for client in (staying, *back):
        assert json.loads(await client.recv()) == {"text": "still here"}
    for client in (*back, *clients):
        await client.close()
