"""The servers of the contract suites: each is started once per module."""

import pytest

from tests.contract.servers import COMMANDS, running


@pytest.fixture(scope="module", params=COMMANDS)
def process(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("contract")) as started:
        yield started


@pytest.fixture
def server(process):
    yield process
    process.hang_up()
