"""Several pytest processes over one list of tests (pytest-xdist): which tests stay together, and which run alone.

`make test` starts twice as many processes as the machine has cores, because tests wait half of their time. Registered
as a plugin by tests/conftest.py; without `-n` nothing here has an effect.
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

# Longest first, and each of their tests by itself: a module here takes minutes.
LONGEST = (
    "tests/integration/loadtest/test_product.py",
    "tests/integration/loadtest/test_whole_run.py",
    "tests/integration/test_up.py",
    "tests/faults/",
    "tests/monitoring/",
)
ALONE = "alone"
# A browser keeps a core busy, so that more of them at once only make each other late.
BROWSER = "browser "
BROWSERS = os.cpu_count() or 2
GROUPS = "groups.json"


def group(item: pytest.Item) -> str:
    """Tests of one group run in one process, in order: those of a module, because they share its fixtures."""
    if item.get_closest_marker(ALONE):
        return ALONE
    if given := item.get_closest_marker("xdist_group"):
        return str(given.args[0])
    module = item.nodeid.partition("::")[0]
    if item.get_closest_marker("browser"):
        return f"{BROWSER}{module}"
    return item.nodeid if module.startswith(LONGEST) else module


def order(item: pytest.Item) -> int:
    """Unit tests come first, since they show a fault soonest, then what takes longest; at the end what runs alone."""
    if item.get_closest_marker(ALONE):
        return len(LONGEST) + 1
    if item.nodeid.startswith("tests/unit/"):
        return -1
    return next((i for i, name in enumerate(LONGEST) if item.nodeid.startswith(name)), len(LONGEST))


def shared_directory(config: pytest.Config) -> Path | None:
    """The directory of all processes of this run; None where there is one process."""
    given = getattr(config, "workerinput", {}).get("shared")
    return Path(given) if given else None


@contextlib.contextmanager
def locked(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield


class Groups(LoadScopeScheduling):
    """Give each process the next group when it is about to run out of tests."""

    def __init__(self, config: pytest.Config, log: Producer, file: Path) -> None:
        # In the order of the processes, not by the number of tests.
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
        """The next group for a process: the first ones of browsers for some, the first of all others for the rest."""
        waiting = list(self.workqueue)
        if waiting[0].startswith("tests/unit/"):
            return waiting[0]
        allowed = [name for name in waiting if name.startswith(BROWSER) == browses and name != ALONE]
        # Processes for browsers help with the rest. What runs alone comes last, when the others have nothing more.
        left = [name for name in waiting if browses and (name != ALONE or len(waiting) == 1)]
        return next(iter(allowed or left), None)


class Controller:
    """The process that hands out tests."""

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
            # At once, because the end of the run may be minutes later.
            terminal = self._config.pluginmanager.get_plugin("terminalreporter")
            lines = report.longreprtext.splitlines()
            error = next((line[1:].strip() for line in lines if line.startswith("E ")), "")
            terminal.ensure_newline()
            terminal.write_line(f"FAILED {report.nodeid} {error}"[:200], red=True)

    def pytest_unconfigure(self) -> None:
        shutil.rmtree(self._shared, ignore_errors=True)


class Worker:
    """One of the processes that run them."""

    def __init__(self, config: pytest.Config, shared: Path) -> None:
        self._turn, self._machine = shared / "turn.lock", shared / "machine.lock"
        number, count = int(config.workerinput["workerid"].removeprefix("gw")), config.workerinput["workercount"]
        # Two processes never look for free ports in the same range: between the look and the use is a moment.
        first, last = FREE_PORTS
        share = (last - first) // count
        os.environ["FREE_PORTS"] = f"{first + number * share}-{first + (number + 1) * share}"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """A test that measures the machine waits until the others have ended theirs, and they wait for it."""
        kind = fcntl.LOCK_EX if item.get_closest_marker(ALONE) else fcntl.LOCK_SH
        with contextlib.ExitStack() as held:
            # In turn, so that one who wants the machine alone gets it however many share it.
            with locked(self._turn):
                held.enter_context(locked(self._machine, kind))
            return (yield)


def register(config: pytest.Config) -> None:
    if shared := shared_directory(config):
        config.pluginmanager.register(Worker(config, shared))
    elif getattr(config.option, "numprocesses", None):
        config.pluginmanager.register(Controller(config))


def name_groups(items: list[pytest.Item], shared: Path) -> None:
    """Write the group of each test for the process that hands them out; all processes write the same."""
    written = shared / f"{GROUPS}-{os.getpid()}"
    written.write_text(json.dumps({item.nodeid: group(item) for item in items}), encoding="utf-8")
    written.rename(shared / GROUPS)
