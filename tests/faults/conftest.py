"""Faults: the real stack is broken while load runs. `make test-faults` runs them in full and writes docs/faults.md."""

import pytest

from tests.faults import table
from tests.faults.scene import Scene, Size

COMMAND = "make test-faults"


def in_full(config: pytest.Config) -> bool:
    """Return whether to run the sizes of the document. Tests marked smoke run in small with all other tests."""
    return config.getoption("tier") == "faults"


def pytest_sessionfinish(session):
    """Write the document after a full run."""
    if in_full(session.config) and (rows := table.saved()):
        page = table.document(rows, machine=table.machine(), command=COMMAND)
        table.DOCUMENT.write_text(page, encoding="utf-8")


@pytest.fixture
def size(pytestconfig):
    return Size(in_full(pytestconfig))


@pytest.fixture
def note(request):
    """Writes a line of progress to the terminal, past pytest's capture."""
    plugins = request.config.pluginmanager
    reporter, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")

    def write(line: str) -> None:
        # A worker process of pytest has no terminal.
        if reporter is None:
            return
        with capture.global_and_fixture_disabled():
            reporter.write_line(line)

    return write


@pytest.fixture
def scene(note, pytestconfig):
    """`scene(stack, "name of the fault", pages=..., per_second=50)`: see `Scene`."""
    full = in_full(pytestconfig)

    def make(*arguments, **options) -> Scene:
        return Scene(*arguments, note=note, keep=full, small=not full, **options)

    return make
