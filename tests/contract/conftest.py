"""The contract suites' servers: each is started once for a module."""

from pathlib import Path

import pytest

from tests.contract.servers import COMMANDS, running


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="module", params=COMMANDS)
def process(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("contract")) as started:
        yield started


@pytest.fixture
def server(process):
    yield process
    process.hang_up()
