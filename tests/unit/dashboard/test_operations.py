"""Draining a node from the page of operations: which users may do it, and which nodes accept it."""

import pytest
from django.core.exceptions import PermissionDenied

from dashboard import operations
from tests.unit.dashboard.node_reports import FakeReports, report


@pytest.fixture
def reports(monkeypatch):
    made = FakeReports(report("ws-0", "aaaa"), report("ws-1", "bbbb"))
    monkeypatch.setattr(operations, "report_store", lambda: made)
    return made


def test_staff_drain_the_run_that_is_listening(reports, staff, caplog):
    operations.drain_node(staff, "ws-1")
    assert reports.commands == {"bbbb": "drain"}
    assert f"drain of ws-1 requested by user {staff.pk}" in caplog.text


def test_others_may_not(reports, ada):
    with pytest.raises(PermissionDenied, match="only staff may"):
        operations.drain_node(ada, "ws-1")
    assert reports.commands == {}


@pytest.mark.parametrize(
    "change", [{"state": "draining"}, {"state": "drained"}, {"silent": True}, {"node": "ws-7"}], ids=str
)
def test_a_node_that_is_not_listening_is_given_no_order(reports, staff, change):
    reports.reports = [report("ws-1", "bbbb").model_copy(update=change)]
    with pytest.raises(operations.NotListening, match="ws-1"):
        operations.drain_node(staff, "ws-1")
    assert reports.commands == {}
