"""The sum that all processes may use must fit the servers' limits. A sum that does not fit is shown in an error."""

import dataclasses
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import yaml

from deploy import budgets
from deploy.compose import compose_budget as compose
from deploy.compose import lint
from deploy.local.layout import ROOT
from tests import postgres
from tests.http_client import fetch
from tests.integration.dashboard.test_environment import run
from tests.k8s.needs import KUSTOMIZE, KUSTOMIZE_AND_SCHEMAS
from tests.sockets import event, open_socket

MIB = budgets.MIB
FITS = budgets.Fleet(
    web=12,
    web_workers=2,
    web_threads=4,
    ws=22,
    relays=3,
    nginx=6,
    connections_per_node=5000,
    database_connections=200,
    redis_clients=10000,
    nginx_workers=2,
    nginx_worker_connections=24576,
    nginx_worker_files=32768,
    nginx_files=32768,
    nginx_memory_bytes=768 * MIB,
    ws_files=16384,
    ws_memory_bytes=512 * MIB,
    postgres_memory_bytes=1024 * MIB,
    postgres_processes=250,
    redis_memory_bytes=256 * MIB,
    redis_maxmemory_bytes=192 * MIB,
)

OVERCOMMITTED = {
    "PostgreSQL by web's threads": (
        {"web_threads": 8, "database_connections": 100},
        "240 + ws 22 x 1 22 + relay 3 x 2 6 + migrate 1 + exporter 4 + superusers 3 + people 4 = 280, over max",
    ),
    "PostgreSQL by pods": ({"web": 20}, "over max_connections = 200"),
    "PostgreSQL by ws nodes": ({"ws": 100}, "over max_connections = 200"),
    "Redis": ({"redis_clients": 5000}, "over maxclients = 5,000"),
    "nginx by a node's sockets": ({"connections_per_node": 10_000}, "over nginx 6 x 2 workers x worker_connections"),
    "nginx by nodes": ({"ws": 40}, "over nginx 6 x 2 workers"),
    "nginx by too few pods": ({"nginx": 2}, "over nginx 2 x 2 workers"),
    "open files of nginx": ({"nginx_worker_files": 24576}, "over worker_rlimit_nofile = 24,576"),
    "open files of nginx's container": ({"nginx_files": 16384}, "over ulimits.nofile = 16,384"),
    "open files of a node": ({"ws_files": 8192}, "sockets 5,000 + handshakes 4,096 + others 256 = 9,352"),
    "memory of a node": ({"ws_memory_bytes": 256 * MIB}, "a ws node's memory in MiB"),
    "memory of nginx": ({"nginx_memory_bytes": 256 * MIB}, "an nginx pod's memory in MiB"),
    "memory of PostgreSQL": ({"postgres_memory_bytes": 512 * MIB}, "PostgreSQL's memory in MiB"),
    "processes of PostgreSQL": ({"postgres_processes": 200}, "over limits.pids = 200"),
    "memory of Redis": ({"redis_memory_bytes": 200 * MIB}, "Redis's memory in MiB"),
}


@pytest.mark.parametrize("name", OVERCOMMITTED)
def test_a_sum_that_does_not_fit_is_written_out(name):
    """At a fifth of the intended load, half of the requests failed: too many clients already."""
    changed, expected = OVERCOMMITTED[name]
    assert list(budgets.problems(FITS)) == []
    problems = list(budgets.problems(dataclasses.replace(FITS, **changed)))
    assert any(expected in each for each in problems), problems


def test_compose_fits():
    """The shipped configuration is within its limits."""
    assert compose.problems() == ""


# nginx has the same limit, followed by other lines.
WS_FILES = "    ulimits: {nofile: 16384}\n    healthcheck: {interval: 5s}"
IN_COMPOSE = {
    "web's replicas": (
        'limits: {cpus: "2", memory: 512M, pids: 100}}}',
        'limits: {cpus: "2", memory: 512M, pids: 100}}, replicas: 12}',
        "max_connections",
    ),
    "the database": ("max_connections=200", "max_connections=30", "over max_connections = 30"),
    "the database's memory": ("max_connections=200", "max_connections=400", "PostgreSQL's memory"),
    "the database's processes": ("memory: 1024M, pids: 250", "memory: 1024M, pids: 200", "limits.pids"),
    "ws nodes": ("deploy: {replicas: 2, ", "deploy: {replicas: 5, ", "nginx's connections"),
    "a node's sockets": ('CONNECTIONS_PER_NODE: "5000"', 'CONNECTIONS_PER_NODE: "20000"', "nginx's connections"),
    "a node's files": ('CONNECTIONS_PER_NODE: "5000"', 'CONNECTIONS_PER_NODE: "14000"', "open files of a ws node"),
    "nginx's files": ("ulimits: {nofile: 16384}", "ulimits: {nofile: 8192}", "nginx's limit of open files"),
    "Redis's memory": ("--maxmemory, 192mb", "--maxmemory, 250mb", "Redis's memory"),
    "Redis without a limit": ("--maxmemory, 192mb, ", "", "maxmemory inf"),
    "a node's files by the soft limit": (
        WS_FILES,
        WS_FILES.replace("16384", "{soft: 1024, hard: 16384}"),
        "open files of a ws node",
    ),
    "a node's files without a limit of its own": (WS_FILES, WS_FILES.partition("\n")[2], "over ulimits.nofile = 1,024"),
}


def test_compose_counts_the_old_and_the_new_containers_of_an_upgrade():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    fleet = compose.fleet(services, (ROOT / "deploy/nginx/nginx.conf").read_text())
    assert (fleet.ws, fleet.web, fleet.relays) == (4, 2, 2)


@pytest.mark.parametrize("name", IN_COMPOSE)
def test_compose_is_refused_if_it_does_not_fit(tmp_path, name):
    """`make lint` also reports a compose file that does not fit."""
    old, new, expected = IN_COMPOSE[name]
    text = (ROOT / "compose.yaml").read_text()
    assert old in text
    (tmp_path / "compose.yaml").write_text(text.replace(old, new, 1))
    assert expected in compose.problems(tmp_path / "compose.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [("worker_processes auto;", "not auto"), ("worker_processes 2;", "worker_connections, not nothing")],
)
def test_nginx_says_its_numbers(text, message):
    """`auto` depends on the host's processors, so the sum would be unknown."""
    with pytest.raises(ValueError, match=message):
        budgets.nginx_numbers(text)


def test_make_lint_adds_compose_up(monkeypatch, capsys):
    """The budget check is a part of `make lint` and can fail it."""
    for name in ("hadolint", "gixy", "nginx", "compose_config"):
        monkeypatch.setattr(lint, name, lambda *_arguments: "")
    monkeypatch.setattr(compose, "problems", lambda: "budget of planted")
    assert lint.main() == 1
    assert "budgets of compose: budget of planted" in capsys.readouterr().out


IN_KUBERNETES = {
    "web's threads": ("base/kustomization.yaml", "TIDEWIRE_WEB_THREADS=4", "TIDEWIRE_WEB_THREADS=16", ()),
    "web's pods": ("base/web.yaml", "maxReplicas: 10", "maxReplicas: 30", ()),
    "web's surge": ("base/web.yaml", "maxSurge: 1", "maxSurge: 6", ()),
    "the local database": ("overlays/local/postgres.yaml", "max_connections=200", "max_connections=100", ()),
    "the local database's default": (
        "overlays/local/postgres.yaml",
        "args: [postgres, -c, max_connections=200]",
        "args: [postgres]",
        (),
    ),
    "a node's sockets": ("base/kustomization.yaml", "PER_NODE=5000", "PER_NODE=20000", ()),
    "ws nodes by processor time": (
        "components/autoscaling-cpu/ws.yaml",
        "maxReplicas: 10",
        "maxReplicas: 20",
        ("autoscaling-cpu",),
    ),
    "ws nodes by sockets": (
        "components/autoscaling-connections/ws.yaml",
        "maxReplicaCount: 20",
        "maxReplicaCount: 40",
        ("autoscaling-connections",),
    ),
    "nginx that does not follow sockets": (
        "components/autoscaling-connections/nginx.yaml",
        "query: sum(tidewire_connections",
        "query: sum(tidewire_users",
        ("autoscaling-connections",),
    ),
    "nginx's least pods": (
        "components/autoscaling-cpu/kustomization.yaml",
        "value: 3",
        "value: 2",
        ("autoscaling-cpu",),
    ),
}


@KUSTOMIZE_AND_SCHEMAS
@pytest.mark.parametrize("name", IN_KUBERNETES)
def test_manifests_are_refused_if_they_do_not_fit(tmp_path, name):
    """The check covers the maximum of pods that autoscalers allow in a roll-out; `make k8s-check` reports the sum."""
    from deploy.k8s.check import build, cluster_budget  # noqa: PLC0415 - the imports need optional packages

    file, old, new, components = IN_KUBERNETES[name]
    manifests = build.copy(tmp_path)
    assert list(cluster_budget.problems(build.build(KUSTOMIZE, manifests, "local", components))) == []
    text = (manifests / file).read_text()
    assert old in text
    (manifests / file).write_text(text.replace(old, new, 1))
    problems = list(cluster_budget.problems(build.build(KUSTOMIZE, manifests, "local", components)))
    assert any(each.startswith("budget of ") and ", over " in each for each in problems), problems


@KUSTOMIZE_AND_SCHEMAS
def test_a_database_outside_is_what_the_namespace_says(tmp_path):
    """The check cannot query a managed PostgreSQL, so the overlay declares its limit."""
    from deploy.k8s.check import build, cluster_budget  # noqa: PLC0415 - the imports need optional packages

    manifests = build.copy(tmp_path)
    assert list(cluster_budget.problems(build.build(KUSTOMIZE, manifests, "production", ()))) == []
    path = manifests / "base/namespace.yaml"
    path.write_text(path.read_text().replace('postgres-max-connections: "200"', 'postgres-max-connections: "100"'))
    [problem] = cluster_budget.problems(build.build(KUSTOMIZE, manifests, "production", ()))
    assert "over max_connections = 100" in problem


def test_the_cluster_has_no_more_threads_than_compose_was_measured_with():
    """The test also reads both files itself, so that it fails if a key is renamed."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert compose.fleet(services, (ROOT / "deploy/nginx/nginx.conf").read_text()).web_threads == 8


@pytest.mark.integration
async def test_processes_take_no_more_connections_than_the_budget_says(stack_factory):
    """The terms of the sum are right: with every thread of every process at work, PostgreSQL counts the connections."""
    if reason := postgres.why_not():
        pytest.skip(reason)
    with postgres.Postgres() as server:
        stack = stack_factory(web=1, ws=1, TIDEWIRE_DATABASE_URL=server.url, TIDEWIRE_WEB_THREADS="4")
        stack.prepare()
        with stack:
            [cookie] = stack.sessions("ada").values()
            most: Counter[str] = Counter()
            done = threading.Event()

            def count():
                with psycopg.connect(server.url, autocommit=True) as admin:
                    while not done.is_set():
                        rows = admin.execute(
                            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                        )
                        most["all"] = max(most["all"], rows.fetchone()[0] - 1)

            counting = threading.Thread(target=count)
            counting.start()
            try:
                with ThreadPoolExecutor(32) as people:
                    pages = list(people.map(lambda _: fetch(f"{stack.url}/", headers={"Cookie": cookie}), range(80)))
                for _ in range(10):
                    async with open_socket(stack, "/ws/users/", cookie) as socket:
                        await event(socket, "users.count")
            finally:
                done.set()
                counting.join()
    assert {page.status for page in pages} == {200}
    web = 2 * (4 + budgets.WEB_OTHER_THREADS)
    assert 8 <= most["all"] <= web + budgets.WS_CONNECTIONS + budgets.RELAY_CONNECTIONS


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
import django
django.setup()
from tidewire.server.open_files import reserve
reserve(connections=int(sys.argv[3]), handshakes=4096)
print("soft", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "message"),
    [
        (256, 16000, 10_000, "soft 14352"),
        (256, 8000, 10_000, "may open 8,000 files, and needs 14,352"),
        (256, 3000, 1000, "soft 2256"),
        (256, 2000, 1000, "may open 2,000 files, and needs 2,256"),
    ],
)
def test_a_node_has_the_open_files_that_its_sockets_need(soft, hard, connections, message):
    """At 1,000 sockets the node stopped accepting connections, because its shell allowed 1,024 open files."""
    done = run("-c", LIMITED, str(soft), str(hard), str(connections), TIDEWIRE_ENVIRONMENT="development")
    assert message in done.stdout + done.stderr


@pytest.mark.integration
def test_a_node_without_enough_open_files_does_not_start():
    """The node started, and failed for the 4,000th user."""
    code = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000));"
        "sys.argv = ['tidewire', 'ws.asgi:application']; runpy.run_module('tidewire', run_name='__main__')"
    )
    done = run("-c", code, settings="ws.settings", TIDEWIRE_ENVIRONMENT="development")
    assert done.returncode != 0
    assert "Raise the hard limit" in done.stdout + done.stderr
