"""Faults: the real stack is broken while load runs. `make test-faults` runs them in full and writes docs/faults.md."""

import os
from pathlib import Path

import pytest

from tests.faults import table
from tests.faults.scene import Scene, Size

# full: as the document has them. small: all of them, in the size of those that run with all other tests.
FULL = os.environ.get("TIDEWIRE_FAULTS") == "full"
ALL = FULL or os.environ.get("TIDEWIRE_FAULTS") == "small"
COMMAND = "make test-faults"


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.faults)
            if not ALL and not item.get_closest_marker("smoke"):
                item.add_marker(pytest.mark.skip(reason=f"`{COMMAND}` runs it"))


def pytest_sessionfinish(session):
    """The document is of runs that were asked for, a full one in place of a small one."""
    if ALL and (rows := table.saved()):
        page = table.document(rows, machine=table.machine(), command=COMMAND)
        table.DOCUMENT.write_text(page, encoding="utf-8")


@pytest.fixture
def size():
    return Size(FULL)


@pytest.fixture
def tell(request):
    """Writes a line for whoever waits, past pytest's capture."""
    plugins = request.config.pluginmanager
    reporter, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")

    def write(line: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.write_line(line)

    return write


@pytest.fixture
def scene(tell):
    """`scene(stack, "name of the fault", pages=..., per_second=50)`: see `Scene`."""

    def make(*arguments, **options) -> Scene:
        return Scene(*arguments, tell=tell, keep=ALL, small=not FULL, **options)

    return make
