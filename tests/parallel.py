"""Several pytest processes over one list of tests (pytest-xdist): which tests stay together, and which run alone.

`make test` starts more processes than there are cores, because most of the time goes by in waiting. Registered as a
plugin by tests/conftest.py; without `-n` nothing here has an effect.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.layout import FREE_PORTS

# Longest first, and each of their tests by itself: a module here takes minutes.
LONGEST = (
    "tests/integration/loadtest/test_product.py",
    "tests/integration/loadtest/test_whole_run.py",
    "tests/integration/test_up.py",
    "tests/faults/",
    "tests/monitoring/",
    "tests/integration/test_scaling.py",
)
ALONE = "alone"


def group(item: pytest.Item) -> str:
    """Tests of one group run in one process, in order: those of a module, because they share its fixtures."""
    if item.get_closest_marker(ALONE):
        return ALONE
    module, _, test = item.nodeid.partition("::")
    # A browser's event loop runs as long as its module, and no async test may come in between.
    by_itself = module.startswith(LONGEST) and "chromium" not in getattr(item, "fixturenames", ())
    return f"{module}::{test}".replace("@", "") if by_itself else module


def order(item: pytest.Item) -> int:
    """What takes longest comes first, and what runs alone last."""
    if item.get_closest_marker(ALONE):
        return len(LONGEST) + 1
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


class Controller:
    """The process that hands out tests."""

    def __init__(self) -> None:
        self._shared = tempfile.mkdtemp(prefix="tidewire-tests-")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["shared"] = self._shared

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Name the test as the command line takes it, without its group.
        report.nodeid = report.nodeid.rpartition("@")[0] or report.nodeid

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
        config.pluginmanager.register(Controller())


def name_groups(items: list[pytest.Item]) -> None:
    """Name the group of each test of a parallel run."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(group(item)))
