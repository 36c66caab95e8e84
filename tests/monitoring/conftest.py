"""The eyes on the real stack: panels with data, alerts that fire. `make test-monitoring` runs all of it."""

import os
from pathlib import Path

import pytest

from tests.monitoring.watched import Watched, why_not


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.faults if "story" in item.fixturenames else pytest.mark.integration)
            if "story" in item.fixturenames and not os.environ.get("TIDEWIRE_MONITORING"):
                item.add_marker(pytest.mark.skip(reason="`make test-monitoring` runs it: twelve minutes of faults"))


@pytest.fixture
def watched(start_stack, tmp_path):
    """`watched(ws=2)`: a stack of the test's own, and Prometheus over it."""
    if reason := why_not():
        pytest.skip(reason)
    running = []

    def start(*, loaded=False, **options) -> Watched:
        running.append(Watched(start_stack(**options), tmp_path / "watched", loaded=loaded).__enter__())
        return running[-1]

    yield start
    for each in running:
        each.__exit__()
