"""Rows of docs/faults.md, and the results with which a fault fails."""

from tests.faults.account import Account
from tests.faults.table import Row, Target, document, saved, unmet


def row():
    targets = [Target("0 lost", met=False, measured="3 of 10"), Target("exit 0", met=True, measured="0")]
    return Row("kill -9", order=2, sockets=1500, account=Account(due=10, lost=3), codes={"4000": 7}, targets=targets)


def test_a_row_survives_its_file(tmp_path):
    row().save(tmp_path)
    assert saved(tmp_path) == [row()]


def test_a_fault_fails_for_what_was_not_met_unless_a_reason_stands_beside_it():
    assert unmet(row().targets) == ["**not met**: 0 lost (3 of 10)."]
    assert unmet([Target("0 lost", met=False, measured="3", reason="so and so")]) == []


def test_the_document_has_every_row_and_target():
    page = document([row(), Row("drain", order=1)], machine="a machine", command="make test-faults")
    assert page.index("| drain |") < page.index("| kill -9 | 1,500 | 10 | 0 | 3 |")
    assert "- met: exit 0 (0)." in page
    assert "4000 x 7" in page
    assert "a machine" in page
