"""tests.compose.incidents: which alert of an incident is right, and which is wrong."""

import re

import pytest

from tests.compose.causes import INCIDENTS, Incident
from tests.compose.incidents import GOAL_SECONDS, HEADER, Result, main
from tests.unit.deploy.test_rules import RULES

LATE = GOAL_SECONDS + 1


def result(noticed=True, **alerts):
    incident = Incident("x", lambda _compose: None, ("Right",), ("Allowed",), noticed=noticed)
    return Result(incident, alerts)


def test_first_right_alert_counts():
    found = result(Right=(12.0, "critical"), Allowed=(3.0, "warning"))
    assert (found.right, found.wrong, found.good) == ((12.0, "Right"), [], True)


@pytest.mark.parametrize("alerts", [{}, {"Right": (LATE, "warning")}, {"Allowed": (3.0, "warning")}])
def test_alert_that_is_late_or_missing_fails(alerts):
    assert not result(**alerts).good
    # Faults without an effect on users may be reported later, but not never.
    assert result(noticed=False, **alerts).good == ("Right" in alerts)


def test_incident_without_an_alert_due_is_good_without_one():
    quiet = Incident("x", lambda _compose: None, (), ("Allowed",), noticed=False)
    assert Result(quiet, {}).good


def test_alert_of_another_incident_is_wrong():
    found = result(Right=(1.0, "critical"), Other=(2.0, "warning"))
    assert (found.wrong, found.good) == (["Other (2 s)"], False)


def test_critical_alert_is_wrong_if_users_do_not_notice():
    assert result(noticed=False, Allowed=(2.0, "critical")).wrong == ["Allowed (2 s)"]
    assert result(noticed=False, Allowed=(2.0, "warning")).wrong == []


def test_each_row_has_the_columns_of_the_header():
    columns = HEADER.splitlines()[0].count("|")
    rows = [result(), result(noticed=False), result(Right=(1.0, "critical"))]
    assert {row.row().count("|") for row in rows} == {columns}


def test_expected_alerts_are_those_of_the_rules():
    text = "".join(path.read_text(encoding="utf-8") for path in RULES)
    known = set(re.findall(r"- alert: (\w+)", text))
    named = {name for each in INCIDENTS for name in (*each.expected, *each.allowed)}
    assert named - known == set()


def test_twelve_incidents():
    assert len({each.name for each in INCIDENTS}) == 12


def test_unknown_incident_names_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        main(["fire"])
    assert "fire: no such incident; there are ws-killed, ws-hangs" in capsys.readouterr().err
