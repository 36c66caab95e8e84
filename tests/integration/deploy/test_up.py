"""`make up`: the start, the address in its output, the error for a taken port, and the end of all its processes."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.local.layout import PORT_VARIABLES, ROOT, Layout, free_range
from tests.http_client import fetch
from tests.stack import ONE_WORKER

UP_SECONDS = 120
END_SECONDS = 60

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc to count processes")


def some_ports():
    """Return make variables with free ports, with some distance for scaling."""
    first, last = free_range()
    while True:
        base = random.randrange(first, last - 20 * len(PORT_VARIABLES))
        variables = {name: str(base + 20 * i) for i, name in enumerate(PORT_VARIABLES)}
        if not Layout.from_variables(variables).ports.taken():
            return variables


class Up:
    """A `make up`, started as from a terminal: make leads a process group."""

    def __init__(self, var, output, variables, settings):
        self.var = var
        self.variables = variables
        self.output = output
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWIRE_")}
        with output.open("wb") as file:
            self.make = subprocess.Popen(
                ["make", "up", f"PYTHON={sys.executable}", f"VAR_DIR={var}", *map("=".join, variables.items())],
                cwd=ROOT,
                env=environment | settings,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def printed(self):
        return self.output.read_text()

    def wait_until_up(self):
        wait_for(lambda: "tidewire runs:" in self.printed or self.make.poll() is not None, UP_SECONDS)
        assert "tidewire runs:" in self.printed, self.printed
        return re.search(r"tidewire runs: (\S+)", self.printed)[1]

    def processes(self):
        """Return each process that has this directory in its environment, as pid -> command."""
        results = {}
        mark = f"VAR_DIR={self.var}".encode()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    results[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return results

    def pid_of(self, words):
        return next(pid for pid, command in self.processes().items() if words in command)

    def assert_nothing_is_left(self):
        wait_for(lambda: not self.processes(), END_SECONDS)
        assert self.processes() == {}, self.printed


def wait_for(condition, seconds):
    """Poll, because the state of another process has no event to wait for."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.fixture
def up(tmp_path, stack_factory):
    """Starts `make up`, with a prepared database unless `fresh`. Ends the processes that a failed test leaves."""
    started = []

    def start(name="var", *, fresh=False, **variables):
        var = tmp_path / name
        if not var.exists() and not fresh:
            stack_factory.furnish(var)
        settings = {} if fresh else ONE_WORKER
        started.append(Up(var, tmp_path / f"{len(started)}.out", some_ports() | variables, settings))
        return started[-1]

    yield start
    for each in started:
        for pid in each.processes():
            os.kill(pid, signal.SIGKILL)
        each.make.wait(10)


def test_it_comes_up_and_ctrl_c_leaves_nothing(up):
    """All checks of a first visit share one start, because each start takes seconds."""
    first = up(fresh=True, WEB="2", WS="1")
    url = first.wait_until_up()
    assert fetch(f"{url}/login/").status == 200
    assert "ada" in first.printed
    assert "8 documents written" in first.printed
    assert sum("-m tidewire" in command for command in first.processes().values()) == 1

    beside = up("other", **first.variables)
    assert beside.make.wait(UP_SECONDS) != 0
    port, redis_port = first.variables["PORT"], first.variables["REDIS_PORT"]
    assert f"port {port} for nginx is taken; move it with PORT: make up PORT=" in beside.printed
    assert f"port {redis_port} for redis is taken; move it with REDIS_PORT: " in beside.printed
    assert "Traceback" not in beside.printed
    assert "starting" not in beside.printed

    same_directory = up()
    assert same_directory.make.wait(UP_SECONDS) != 0
    assert "it already runs here" in same_directory.printed

    # Like Ctrl-C in a terminal: the whole foreground group receives the signal.
    os.killpg(first.make.pid, signal.SIGINT)
    first.make.wait(END_SECONDS)
    assert "stopped in" in first.printed
    first.assert_nothing_is_left()


@pytest.mark.parametrize("who", ["make", "deploy.local.up"])
def test_nothing_is_left_of_a_killed_run(up, who):
    """If a process at any level of the tree is killed, the rest must end too, on Linux without help (see below)."""
    started = up(WS="1")
    started.wait_until_up()
    os.kill(started.make.pid if who == "make" else started.pid_of(who), signal.SIGKILL)
    started.make.wait(END_SECONDS)
    started.assert_nothing_is_left()


def test_a_dead_process_is_replaced_and_a_second_start_keeps_the_data(up):
    """A killed supervisor or a closed terminal must not leave processes either."""
    first = up(WS="1")
    first.wait_until_up()
    old = first.pid_of("-m tidewire")
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: "ws-0 ended" in first.printed, END_SECONDS)
    assert "ws-0 ended" in first.printed
    wait_for(lambda: any("-m tidewire" in command for command in first.processes().values()), END_SECONDS)
    assert first.pid_of("-m tidewire") != old
    os.kill(first.pid_of("supervisord"), signal.SIGKILL)
    first.make.wait(END_SECONDS)
    first.assert_nothing_is_left()

    second = up(WS="1")
    second.wait_until_up()
    assert "0 documents written" in second.printed
    os.kill(second.pid_of("deploy.local.up"), signal.SIGHUP)
    second.make.wait(END_SECONDS)
    second.assert_nothing_is_left()


def test_a_process_that_cannot_start_is_named_with_its_last_words(up, tmp_path):
    """Nginx cannot write its log."""
    (tmp_path / "odd" / "log" / "nginx-access.log").mkdir(parents=True)
    started = up("odd", WS="1")
    assert started.make.wait(UP_SECONDS) != 0
    assert "nginx did not start" in started.printed
    assert "nginx-access.log" in started.printed
    started.assert_nothing_is_left()


@pytest.mark.parametrize(("name", "value"), [("PORT", "http"), ("WS", "0")])
def test_an_odd_variable_is_named(up, name, value):
    started = up(**{name: value})
    assert started.make.wait(UP_SECONDS) != 0
    assert f"{name}={value}: needs a number" in started.printed
    assert "Traceback" not in started.printed
