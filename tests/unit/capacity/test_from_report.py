"""The workload is read from a run's report, and is written as a file that can be planned with."""

import json
import re

import pytest

from capacity.__main__ import main
from capacity.from_report import workload_of
from capacity.workload import WORKLOAD, Workload
from tests.unit.capacity.test_validate import CONFIGURATION, RUN


def test_workload_is_what_the_users_did_in_the_hold():
    found = workload_of(RUN)
    assert (found.users, found.sockets) == (100, pytest.approx(240))
    assert (found.pages_per_second, found.saves_per_second) == (pytest.approx(6.0), pytest.approx(3.0))
    assert found.connects_per_second == pytest.approx(20.0)
    assert (found.present_share, found.query_share) == (pytest.approx(0.55), pytest.approx(0.1))


def test_events_are_what_was_delivered_less_the_first_values_of_handshakes():
    """Counts: 9 of 109 a second to 100 sockets are initial values. Document status: 20 of 24, to 2 sockets each."""
    found = {topic.name: topic for topic in workload_of(RUN).topic}
    assert {name: (topic.kind, topic.events_per_second) for name, topic in found.items()} == {
        "notification.created": ("stream", pytest.approx(2.0)),
        "users.count": ("state", pytest.approx(1.0)),
        "document.status": ("state", pytest.approx(0.2)),
    }
    assert found["document.status"].audience_share == pytest.approx(2 / 240)


def test_machine_is_shared_with_what_is_no_service():
    found = workload_of(RUN).machine.shared
    assert found is not None
    assert (found.cores, found.others_cores) == (4, pytest.approx(1.5 - 0.76))


def made(tmp_path, capsys, run):
    (tmp_path / "report.json").write_text(json.dumps({**run, "title": "a run", "totals": {}, "counts": {}}))
    assert main(["workload", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    path = tmp_path / "workload.toml"
    path.write_text(text)
    return text, Workload.read(path)


def test_file_plans_the_users_of_the_report(tmp_path, capsys):
    text, found = made(tmp_path, capsys, RUN)
    run = workload_of(RUN)
    assert CONFIGURATION["date"] in text.splitlines()[0]
    assert (found.users, found.sockets) == (100, pytest.approx(240))
    assert found.logins_per_second == pytest.approx(0.5)
    assert found.deliveries_per_second == pytest.approx(run.deliveries_per_second)
    assert found.connects_per_second == pytest.approx(run.connects_per_second)
    assert (found.wanted, found.machine) == (Workload.read().wanted, Workload.read().machine)


def test_events_of_saves_grow_with_the_users_and_states_do_not(tmp_path, capsys):
    _, found = made(tmp_path, capsys, RUN)
    assert {topic.name: topic.grows_with_users for topic in found.topic} == {
        "notification.created": True,
        "users.count": False,
        "document.status": False,
    }


def test_events_whose_audience_is_unknown_are_named(tmp_path, capsys):
    deliveries = {**RUN["series"]["deliveries"], "chat.message": [[12, 5]]}
    text, found = made(tmp_path, capsys, {**RUN, "series": {**RUN["series"], "deliveries": deliveries}})
    assert "# Not in it, because the audience is unknown: chat.message" in text.splitlines()
    assert "chat.message" not in {topic.name for topic in found.topic}


def test_report_that_is_none_is_one_line(tmp_path, capsys):
    (tmp_path / "report.json").write_text("{}")
    assert main(["workload", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"series": {**RUN["series"], "deliveries": {"message": [[12, 5]]}}},
            "its events (message) are none of the dashboard",
        ),
        ({"phases": None}, "has another form"),
        ({"hold_stats": {"seconds": 10}}, "has another form: KeyError('sockets')"),
        ({"series": []}, "has another form"),
    ],
)
def test_report_of_another_product_or_form_is_one_line(tmp_path, capsys, changes, said):
    """A chat has no pages: its handshakes were planned for as none, and its messages too."""
    report = {**RUN, "title": "a run", "totals": {}, "counts": {}, **changes}
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert main(["workload", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)


@pytest.mark.parametrize("name", ["tabs_per_user", "sockets_per_tab"])
def test_workload_too_great_for_any_number_is_one_line(tmp_path, capsys, name):
    text = re.sub(rf"^{name} = .*$", f"{name} = 1e300", WORKLOAD.read_text(), flags=re.MULTILINE)
    path = tmp_path / "workload.toml"
    path.write_text(text)
    assert main(["plan", str(path), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"{path}: some of its numbers are too great to calculate with\n"
