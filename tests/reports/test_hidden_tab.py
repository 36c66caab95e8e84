"""Detection of silence by a throttled timer, in a tab that Chromium hides and throttles."""

import time
from pathlib import Path

import pytest

from tests.hidden import Hidden
from tests.tabs import THROTTLED, running

# Chromium runs the timers of such a tab once a minute. A page that relies on them has closed its sockets by their third
# run.
THROTTLED_SECONDS = 330.0

# Waits five minutes for three throttled timers; tests/conformance has the short cases.
pytestmark = pytest.mark.faults


def test_a_tab_in_the_background_stays_connected_and_keeps_its_lease(stack, tmp_path: Path):
    """Every few minutes my colleagues saw me leave and come back, and meanwhile another user received my edit lease."""
    cookies = stack.sessions("ada", "bob")
    with running(tmp_path / "profile", THROTTLED) as chromium, Hidden(stack, chromium, cookies) as hidden:
        hidden.hide()
        end = time.monotonic() + THROTTLED_SECONDS
        while hidden.throttled_runs < 3:
            assert time.monotonic() < end, "Chromium does not throttle this tab, so the test proves nothing"
            time.sleep(1.0)
        observation = hidden.observe()
    assert (observation.closes, observation.states, observation.leases) == (0, ["live"], ["mine"])
    assert len(observation.seen_by_others) == 1
