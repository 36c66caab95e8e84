"""deploy.local.supervisor: the configuration of supervisord, and the events that are read from its log."""

import configparser
import dataclasses

import pytest
from supervisor.options import ServerOptions

from deploy.local.layout import Layout, Ports
from deploy.local.processes import Process
from deploy.local.supervisor import SupervisorLog, configuration


@pytest.fixture
def layout(tmp_path):
    return Layout(ports=Ports.from_variables({}), var=tmp_path)


def parsed(text):
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parser.read_string(text)
    return parser


def process(name, group, priority, **more):
    return Process(name=name, group=group, priority=priority, **{"command": ["true"], **more})


def test_processes_of_one_group_stop_together(layout):
    definitions = [process("redis", "redis", 10), process("ws-0", "ws", 50), process("ws-1", "ws", 50)]
    parser = parsed(configuration(layout, definitions, root=False))
    assert parser["group:ws"]["programs"] == "ws-0,ws-1"
    assert parser["group:ws"]["priority"] == "50"
    assert "group:redis" not in parser


def test_arguments_keep_their_spaces_and_percents(layout):
    definitions = [process("odd", "odd", 1, command=["echo", "two words", "100%"], environment={"A": "50%"})]
    parser = parsed(configuration(layout, definitions, root=False))
    assert parser["program:odd"]["command"] == "echo 'two words' 100%%"
    assert parser["program:odd"]["environment"] == 'A="50%%"'


def test_a_directory_may_have_a_percent_in_its_name(layout, tmp_path):
    """Supervisord's own reader, because it expands some values twice."""
    layout = dataclasses.replace(layout, var=tmp_path / "50%20 off")
    layout.make_directories()
    file = layout.run / "supervisord.conf"
    file.write_text(configuration(layout, [process("odd", "odd", 1)], root=False))
    options = ServerOptions()
    options.realize(["-c", str(file)], doc="")
    assert options.logfile == str(layout.log / "supervisord.log")
    [[read]] = [group.process_configs for group in options.process_group_configs]
    assert read.stdout_logfile == str(layout.log / "odd.log")


def test_only_root_needs_a_user(layout):
    assert "user" not in parsed(configuration(layout, [], root=False))["supervisord"]
    assert parsed(configuration(layout, [], root=True))["supervisord"]["user"] == "root"


def test_the_log_tells_once_who_ended_and_who_gave_up(tmp_path):
    path = tmp_path / "supervisord.log"
    path.write_text("2026-01-01 INFO exited: old (exit status 1; not expected)\n")
    log = SupervisorLog(path)
    with path.open("a") as more:
        more.write("2026-01-01 INFO exited: ws-0 (terminated by SIGKILL; not expected)\n")
        more.write("2026-01-01 INFO exited: relay (exit status 0; expected)\n")
        more.write("2026-01-01 INFO gave up: nginx entered FATAL state, too many start retries too quickly\n")
    assert log.news() == [("ws-0", "ended"), ("nginx", "gave up")]
    assert log.news() == []
