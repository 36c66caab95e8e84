"""A value of a file that cannot be is answered in one line: the file, the key, the value, and the expected one."""

import pytest

from capacity.__main__ import main
from capacity.costs import COSTS, ERRORS, Costs, Errors
from capacity.inputs import WorkloadError
from capacity.workload import WORKLOAD, Workload


def refused(read, path):
    with pytest.raises(WorkloadError) as refusal:
        read(path)
    return str(refusal.value).replace(f"{path}: ", "")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("users = 100_000", "users = 0", "users = 0: expected a whole number of at least 1"),
        ("users = 100_000", "users = true", "users = true: expected a whole number of at least 1"),
        ("users = 100_000", 'users = "many"', 'users = "many": expected a whole number of at least 1'),
        ("users = 100_000", "users = 1.5", "users = 1.5: expected a whole number of at least 1"),
        ("users = 100_000\n", "", "users is missing: expected a whole number of at least 1"),
        (
            "max_utilization = 0.6",
            "max_utilization = 50",
            "wanted.max_utilization = 50: expected a share above 0 and at most 1, such as 0.6 for 60 %",
        ),
        ("tabs_per_user = 1.3", "tbas_per_user = 1.3", "tabs_per_user is missing: expected a number above 0"),
        ("tabs_per_user = 1.3", "tabs_per_user = inf", "tabs_per_user = Infinity: expected a number above 0"),
        ("[wanted]", "[wanted]\nheadroom = 0.6", "wanted.headroom = 0.6 is unknown: expected delivery_p95_ms"),
        ("[wanted]", "[wnated]", "wanted is missing: expected a table [wanted]"),
        (
            "[machine]",
            "[machine]\nmax_utilization = 0.5",
            "machine.max_utilization = 0.5 is unknown: expected it in [wanted]",
        ),
        (
            "web_cores = 32",
            "web_cores = 32\nlogins_per_second = 9.0",
            "machine.logins_per_second = 9.0 is unknown: expected it above all tables",
        ),
        ('kind = "stream"', 'kind = "steam"', 'topic.0.kind = "steam": expected "stream" or "state"'),
        ("audience_share = 0.16", "audience_share = 16", "topic.2.audience_share = 16: expected a share from 0 to 1"),
    ],
)
def test_wrong_workload_names_key_value_and_what_is_expected(tmp_path, old, new, says):
    path = tmp_path / "workload.toml"
    text = WORKLOAD.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert says in refused(Workload.read, path)


def test_unknown_key_is_answered_with_the_name_that_is_most_like_it(tmp_path):
    path = tmp_path / "workload.toml"
    path.write_text(WORKLOAD.read_text(encoding="utf-8").replace("tabs_per_user = ", "tbas_per_user = "))
    assert "tbas_per_user = 1.3 is unknown: expected tabs_per_user" in refused(Workload.read, path).splitlines()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("page_ms = 13.9", 'page_ms = "13.9"', 'page_ms = "13.9": expected a number of at least 0'),
        ("page_ms = 13.9", "page_ms = -1.5", "page_ms = -1.5: expected a number of at least 0"),
        ("page_ms = 13.9", "pages_ms = 13.9", "pages_ms = 13.9 is unknown: expected page_ms"),
        ("[delivery_us]\n302 =", "[delivery_us]\nmany =", "delivery_us.many is unknown: expected a number of sockets"),
        ("[wire]", "[spread]\npgae_ms = 0.1\n[wire]", "spread.pgae_ms is unknown: expected the name of a cost"),
    ],
)
def test_wrong_costs_are_named_as_well(tmp_path, old, new, says):
    path = tmp_path / "costs.toml"
    text = COSTS.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert says in refused(Costs.read, path)


def test_errors_of_one_run_are_no_range(tmp_path):
    path = tmp_path / "errors.toml"
    lines = ERRORS.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join("ws_cores = [1.0]" if line.startswith("ws_cores") else line for line in lines))
    assert "ws_cores = [1.0]: expected a list of at least two numbers above 0" in refused(Errors.read, path)


@pytest.mark.parametrize("text", ["users = = 1", "users = 1", ""])
def test_command_ends_with_2_and_lines_that_all_name_the_file(tmp_path, capsys, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert main(["plan", str(path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said
    assert all(line.startswith(f"{path}: ") for line in said)


def test_missing_file_is_one_line(tmp_path, capsys):
    assert main(["plan", str(tmp_path / "none.toml")]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'none.toml'}: No such file or directory\n"


def test_number_of_nodes_is_one_or_more(capsys):
    with pytest.raises(SystemExit):
        main(["plan", "--nodes", "0"])
    assert "argument --nodes: 0: expected a whole number of at least 1" in capsys.readouterr().err
