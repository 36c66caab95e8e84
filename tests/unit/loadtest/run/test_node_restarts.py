"""Nodes are replaced one after another, and a node that does not come back is reported."""

import shlex
import subprocess
import sys

import pytest

from loadtest.run.node_restarts import BACK_SECONDS, NodesByCommand, restart_nodes


class Nodes:
    """Each node takes a few polls to come back, unless it is `gone`."""

    def __init__(self, *names, gone=()):
        self._names = names
        self._gone = gone
        self.stopped = []
        self._polls = {}

    def names(self):
        return self._names

    def stop(self, name):
        self.stopped.append(name)
        self._polls[name] = 0

    def is_back(self, name):
        self._polls[name] += 1
        assert all(polls > 3 for other, polls in self._polls.items() if other != name), "two were away at once"
        return self._polls[name] > 3 and name not in self._gone


class Clock:
    now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def replaced(nodes, count=None):
    clock = Clock()
    return restart_nodes(nodes, count, second=lambda: int(clock.now), sleep=clock.sleep, clock=clock)


def test_deploy_takes_every_node_once_the_one_before_is_back():
    nodes = Nodes("a", "b", "c")
    restarts = replaced(nodes)
    assert nodes.stopped == ["a", "b", "c"]
    assert str(restarts[0]) == "node a was stopped at 100 s and was back 0.6 s later"


def test_drain_takes_one_node():
    nodes = Nodes("a", "b", "c")
    replaced(nodes, 1)
    assert nodes.stopped == ["a"]


def test_deploy_stops_at_a_node_that_does_not_come_back():
    nodes = Nodes("a", "b", "c", gone=("b",))
    restarts = replaced(nodes)
    assert nodes.stopped == ["a", "b"]
    assert restarts[-1].seconds is None
    assert f"not back: not within {BACK_SECONDS:.0f} s" in str(restarts[-1])


def test_command_is_given_the_number_of_the_node(tmp_path):
    script = tmp_path / "note.py"
    script.write_text("import pathlib, sys; pathlib.Path(sys.argv[1]).touch()\n")
    command = shlex.join([sys.executable, str(script), str(tmp_path / "node-{n}")])
    nodes = NodesByCommand(command, 2)
    assert all(each.seconds is not None for each in replaced(nodes))
    assert sorted(path.name for path in tmp_path.glob("node-*")) == ["node-1", "node-2"]


def test_command_that_fails_is_told():
    [restart] = replaced(NodesByCommand(shlex.join([sys.executable, "-c", "raise SystemExit(3)", "{n}"]), 2))
    assert "returned non-zero exit status 3" in restart.error
    with pytest.raises(subprocess.CalledProcessError):
        NodesByCommand("false {n}", 1).stop("1")
