"""Monitoring of the real stack: panels have data, alerts fire. `make test TIER=monitoring` runs all these tests."""

import pytest

from tests.monitoring.watched import Watched, why_not


@pytest.fixture
def watched(start_stack, tmp_path):
    """`watched(ws=2)` returns a stack of the test's own, with a Prometheus that scrapes it."""
    if reason := why_not():
        pytest.skip(reason)
    running = []

    def start(*, loaded=False, **options) -> Watched:
        running.append(Watched(start_stack(**options), tmp_path / "watched", loaded=loaded).__enter__())
        return running[-1]

    yield start
    for each in running:
        each.__exit__()
