"""The report that `make autobahn` makes of the suite's results."""

import pytest

from tests.autobahn.__main__ import report

GOOD = {"behavior": "OK", "behaviorClose": "OK"}


def test_counts_by_result_are_printed_for_each_server(capsys):
    cases = {"1.1.1": GOOD, "1.1.2": GOOD, "3.2": GOOD | {"behavior": "NON-STRICT"}}
    assert report({"direct": cases, "nginx": {"1.1.1": GOOD}}, ("direct", "nginx")) == 0
    output = capsys.readouterr().out
    assert "direct: 3 cases: 2 OK, 1 NON-STRICT" in output
    assert "nginx: 1 cases: 1 OK" in output


@pytest.mark.parametrize("bad", [{"behavior": "FAILED"}, {"behaviorClose": "WRONG CODE"}, {"behaviorClose": "UNCLEAN"}])
def test_one_failure_fails_and_is_named(capsys, bad):
    assert report({"direct": {"1.1.1": GOOD, "9.7.1": GOOD | bad}}, ("direct",)) == 1
    assert "direct 9.7.1: " in capsys.readouterr().out


@pytest.mark.parametrize("results", [{}, {"direct": {"1.1.1": GOOD}}, {"direct": {"1.1.1": GOOD}, "nginx": {}}])
def test_a_server_that_was_not_tested_fails(capsys, results):
    """A suite that could not connect reports no failed case."""
    assert report(results, ("direct", "nginx")) == 1
    assert "nginx: was not tested" in capsys.readouterr().out
