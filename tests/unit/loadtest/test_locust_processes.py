"""The number of processes that generate a load. None of them may outlive its run."""

import subprocess
import sys

import pytest

from loadtest import locust_processes
from loadtest.locust_processes import run, workers_for


@pytest.mark.parametrize(
    ("users", "wanted", "expected"), [(1, 0, 1), (300, 0, 1), (301, 0, 2), (5000, 0, 8), (50, 3, 3)]
)
def test_processes_are_as_many_as_the_users_need_and_cores_allow(users, wanted, expected):
    assert workers_for(users, cores=8, wanted=wanted) == expected


SPEAK = "import sys; print(' '.join(sys.argv[1:])); {then}"
# A master that ends after both workers have printed their arguments, however late they start.
UNTIL_WORKERS_SPOKE = """
import sys, time
from pathlib import Path

print(" ".join(sys.argv[1:]), flush=True)
said = [Path({directory!r}, f"worker-{{n}}-stdout.log") for n in (1, 2)]
while "--master" not in sys.argv or not all(each.exists() and each.read_text() for each in said):
    time.sleep(0.01)
"""


def test_one_process_is_given_the_options_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(locust_processes, "LOCUST", (sys.executable, "-c", SPEAK.format(then="raise SystemExit(1)")))
    assert run(["--users", "5"], tmp_path, workers=1, timeout_seconds=20.0) == 1
    output = (tmp_path / "stdout.log").read_text()
    assert "--users 5" in output
    assert "--master" not in output


def test_each_process_with_users_answers_prometheus_at_a_port_of_its_own(tmp_path, monkeypatch):
    script = tmp_path / "locust.py"
    script.write_text(UNTIL_WORKERS_SPOKE.format(directory=str(tmp_path)), encoding="utf-8")
    monkeypatch.setattr(locust_processes, "LOCUST", (sys.executable, str(script)))
    run([], tmp_path, workers=2, timeout_seconds=20.0, metrics_ports=(7001, 7002))
    outputs = [(tmp_path / name).read_text() for name in ("stdout.log", "worker-1-stdout.log", "worker-2-stdout.log")]
    assert ["--metrics" in each for each in outputs] == [False, True, True]
    assert "127.0.0.1:7002" in outputs[2]


def test_workers_are_ended_with_the_master(tmp_path, monkeypatch):
    """The master ends at once; the workers would never end."""
    then = "import time; '--worker' in sys.argv and time.sleep(1000)"
    monkeypatch.setattr(locust_processes, "LOCUST", (sys.executable, "-c", SPEAK.format(then=then)))
    assert run(["--users", "5"], tmp_path, workers=2, timeout_seconds=20.0) == 0
    for n in (1, 2):
        pid = (tmp_path / f"worker-{n}.pid").read_text().strip()
        assert subprocess.run(["ps", "-p", pid], capture_output=True, check=False).returncode == 1


def test_hanging_run_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(locust_processes, "LOCUST", (sys.executable, "-c", "import time; time.sleep(1000)"))
    with pytest.raises(subprocess.TimeoutExpired):
        run([], tmp_path, workers=2, timeout_seconds=0.2)
