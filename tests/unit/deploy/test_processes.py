"""deploy.local.processes: the processes, and the order in which they start and stop."""

from pathlib import Path

import pytest

from deploy.local.layout import Layout, Ports
from deploy.local.processes import processes


@pytest.fixture
def definitions(tmp_path):
    layout = Layout(ports=Ports.from_variables({"WEB": "2", "WS": "3"}), var=tmp_path)
    return {each.name: each for each in processes(layout)}


def test_web_and_ws_have_as_many_processes_as_asked(definitions):
    assert {name for name in definitions if name.startswith(("web", "ws"))} == {
        "web-0",
        "web-1",
        "ws-0",
        "ws-1",
        "ws-2",
    }


def test_redis_starts_first_and_stops_last(definitions):
    assert definitions["redis"].priority == min(each.priority for each in definitions.values())


def test_sockets_are_drained_while_the_proxy_still_runs(definitions):
    assert (
        definitions["ws-0"].priority
        > definitions["nginx"].priority
        > definitions["web-0"].priority
        > definitions["redis"].priority
    )


def test_nodes_have_names_and_admin_ports_of_their_own(definitions):
    nodes = [each.environment for each in definitions.values() if each.group == "ws"]
    assert len({node["TIDEWIRE_NODE_NAME"] for node in nodes}) == 3
    assert len({node["TIDEWIRE_ADMIN_PORT"] for node in nodes}) == 3


def test_web_processes_count_their_metrics_apart(definitions):
    assert len({definitions[name].environment["PROMETHEUS_MULTIPROC_DIR"] for name in ("web-0", "web-1")}) == 2


def test_redis_keeps_nothing_on_disk(definitions):
    command = list(definitions["redis"].command)
    assert command[command.index("--save") + 1] == ""
    assert command[command.index("--appendonly") + 1] == "no"


def test_all_listen_on_loopback_only(definitions):
    arguments = " ".join(
        argument for each in definitions.values() for argument in (*each.command, *each.environment.values())
    )
    assert "0.0.0.0" not in arguments  # noqa: S104 - this address must not occur


def test_processes_write_into_the_layout_alone(definitions, tmp_path):
    paths = [Path(argument) for each in definitions.values() for argument in each.command if argument.startswith("/")]
    written = [path for path in paths if "run" in path.parts or "log" in path.parts]
    assert written
    assert all(path.is_relative_to(tmp_path) for path in written)
