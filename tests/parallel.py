"""Scheduling of tests over several pytest processes (pytest-xdist): which share a process, and which must run alone.

`make test` starts twice as many processes as the machine has cores, because tests wait half of their time.
tests/conftest.py registers this module as a plugin; it has no effect without `-n`.
"""

import contextlib
import fcntl
import functools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from deploy.local.layout import FREE_PORTS

# Scheduled first, and test by test, because each of these modules takes minutes.
LONGEST = (
    "tests/integration/loadtest/test_planted_rows.py",
    "tests/integration/loadtest/test_product.py",
    "tests/integration/loadtest/test_whole_run.py",
    "tests/integration/deploy/test_up.py",
    "tests/faults/",
    "tests/monitoring/",
)
# Unit tests of more than three seconds of CPU time, which all other unit tests precede.
SLOW_UNITS = frozenset(
    ["test_lint.py", "test_logins.py", "test_reporter.py", "test_rules.py", "test_site.py", "test_stream_feed_model.py"]
)
ALONE = "alone"
# A browser keeps a core busy, so more browsers than cores only delay each other.
BROWSER = "browser "
BROWSERS = os.cpu_count() or 2
GROUPS = "groups.json"


def group(item: pytest.Item) -> str:
    """Return the group of a test, usually its module. A group runs in order in one process, and shares its fixtures."""
    if item.get_closest_marker(ALONE):
        return ALONE
    if own_group := item.get_closest_marker("xdist_group"):
        return str(own_group.args[0])
    module = item.nodeid.partition("::")[0]
    if item.get_closest_marker("browser"):
        return f"{BROWSER}{module}"
    return item.nodeid if module.startswith(LONGEST) else module


def order(item: pytest.Item) -> tuple[float, ...]:
    """Return a sort key: unit tests, which find faults soonest, then the longest tests, then those that run alone.

    The unit tests of the files that were changed last are the first, because they are the likeliest to fail.
    """
    if item.get_closest_marker(ALONE):
        return (len(LONGEST) + 1,)
    if item.nodeid.startswith("tests/unit/"):
        return -1, item.path.name in SLOW_UNITS, -_changed_at(item.path)
    return (next((i for i, name in enumerate(LONGEST) if item.nodeid.startswith(name)), len(LONGEST)),)


@functools.cache
def _changed_at(path: Path) -> float:
    return path.stat().st_mtime


def shared_directory(config: pytest.Config) -> Path | None:
    """Return the directory that all processes of this run share, or None if there is only one process."""
    directory = getattr(config, "workerinput", {}).get("shared")
    return Path(directory) if directory else None


@contextlib.contextmanager
def locked(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield


class Groups(LoadScopeScheduling):
    """Assigns the next group to a process when its tests are about to run out."""

    def __init__(self, config: pytest.Config, log: Producer, file: Path) -> None:
        # Keeps the order of `order`, instead of sorting groups by their number of tests.
        config.option.loadscopereorder = False
        super().__init__(config, log)
        self._file = file

    @functools.cached_property
    def _groups(self) -> dict[str, str]:
        return dict(json.loads(self._file.read_text(encoding="utf-8")))

    def _split_scope(self, nodeid: str) -> str:
        return self._groups[nodeid]

    def _assign_work_unit(self, node: WorkerController) -> None:
        browses = node in self.nodes[:BROWSERS]
        if group := self._next(browses=browses):
            self.workqueue.move_to_end(group, last=False)
            super()._assign_work_unit(node)
        else:
            node.shutdown()

    def _next(self, *, browses: bool) -> str | None:
        """Return the next group for a process. Groups with browsers are reserved for the first `BROWSERS` processes."""
        waiting = list(self.workqueue)
        if waiting[0].startswith("tests/unit/"):
            return waiting[0]
        allowed = [name for name in waiting if name.startswith(BROWSER) == browses and name != ALONE]
        # Processes for browsers may also take other groups. Tests that run alone come last.
        candidates = [name for name in waiting if browses and (name != ALONE or len(waiting) == 1)]
        return next(iter(allowed or candidates), None)


class Controller:
    """The process that assigns tests to the others."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._shared = Path(tempfile.mkdtemp(prefix="tidewire-tests-"))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        node.workerinput["shared"] = str(self._shared)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> Groups:
        return Groups(config, log, self._shared / GROUPS)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            # Printed at once, because the run may end minutes later.
            terminal = self._config.pluginmanager.get_plugin("terminalreporter")
            lines = report.longreprtext.splitlines()
            error = next((line[1:].strip() for line in lines if line.startswith("E ")), "")
            terminal.ensure_newline()
            terminal.write_line(f"FAILED {report.nodeid} {error}"[:200], red=True)

    def pytest_unconfigure(self) -> None:
        shutil.rmtree(self._shared, ignore_errors=True)


class Worker:
    """A process that runs tests."""

    def __init__(self, config: pytest.Config, shared: Path) -> None:
        self._turn, self._machine = shared / "turn.lock", shared / "machine.lock"
        number, count = int(config.workerinput["workerid"].removeprefix("gw")), config.workerinput["workercount"]
        # Each process has its own range of free ports, because another process could take a port between check and use.
        first, last = FREE_PORTS
        share = (last - first) // count
        os.environ["FREE_PORTS"] = f"{first + number * share}-{first + (number + 1) * share}"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """A test that measures the machine waits until all other tests have ended, and they wait for it."""
        kind = fcntl.LOCK_EX if item.get_closest_marker(ALONE) else fcntl.LOCK_SH
        with contextlib.ExitStack() as locks:
            # Each test takes the turn lock first, so that the shared locks of others cannot starve an exclusive one.
            with locked(self._turn):
                locks.enter_context(locked(self._machine, kind))
            return (yield)


def register(config: pytest.Config) -> None:
    if shared := shared_directory(config):
        config.pluginmanager.register(Worker(config, shared))
    elif getattr(config.option, "numprocesses", None):
        config.pluginmanager.register(Controller(config))


def name_groups(items: list[pytest.Item], shared: Path) -> None:
    """Write the group of each test for the controller. All processes write the same file."""
    written = shared / f"{GROUPS}-{os.getpid()}"
    written.write_text(json.dumps({item.nodeid: group(item) for item in items}), encoding="utf-8")
    written.rename(shared / GROUPS)
