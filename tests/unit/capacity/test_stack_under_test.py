"""CPU use beyond the use at rest."""

import pytest

from capacity.stack_under_test import Used


def test_what_was_used_anyway_is_no_cost():
    used = Used(10.0, {"ws": 1.0, "redis": 0.2})
    assert used.cores == {"ws": pytest.approx(0.1), "redis": pytest.approx(0.02)}
    beyond = used.beyond({"ws": 0.04, "web": 9.0}, {"ws": 0.01, "redis": 0.01})
    assert beyond == {"ws": pytest.approx(0.5), "redis": pytest.approx(0.1)}
