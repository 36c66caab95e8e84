"""`TidewireServerMixin`: a project's live-server tests with sockets, on its test database."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from deploy.local.layout import ROOT
from tests.contract.live_server_project import LIVE_FILES

TIMEOUT_SECONDS = 300


@pytest.fixture
def site(tmp_path):
    """Write the project, and return the environment of its tests."""
    for name, content in LIVE_FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TIDEWIRE_", "DJANGO_"))}
    return kept | {"PYTHONPATH": f"{ROOT}/src"}


@pytest.fixture
def run(tmp_path, site):
    """Return a function that runs the project's own tests, and returns the finished process."""

    def run_tests(*options, database="test.sqlite3"):
        name = str(tmp_path / database) if database else ":memory:"
        return subprocess.run(
            [sys.executable, "manage.py", "test", *options],
            cwd=tmp_path,
            env=site | {"TEST_NAME": name},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )

    return run_tests


def servers(directory):
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if "server_process.py" in " ".join(process.info["cmdline"] or ()) and process.info["cwd"] == str(directory)
    ]


def test_pages_sockets_and_static_files_are_served_on_the_test_database(run, tmp_path):
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 5 tests" in done.stderr
    assert servers(tmp_path) == []


def test_parallel_tests_have_a_server_and_a_database_each(run):
    done = run("--parallel", "2")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_database_in_memory_is_refused_with_the_remedy(run):
    done = run("tests.PlainTests", database=None)
    assert done.returncode == 1
    assert "is a SQLite in memory" in done.stderr
    assert '"TEST": {"NAME"' in done.stderr


def test_a_broken_application_fails_the_tests_with_its_error(run, tmp_path):
    (tmp_path / "site_asgi.py").write_text("raise ZeroDivisionError('in asgi.py')")
    done = run("tests.PlainTests")
    assert done.returncode == 1
    assert "the live server ended with status 1" in done.stderr
    assert "in asgi.py" in done.stderr
    assert servers(tmp_path) == []


def test_a_killed_test_leaves_no_server(site, tmp_path):
    """A server that nothing ends would keep its port and the test database."""
    environment = site | {"TEST_NAME": str(tmp_path / "test.sqlite3"), "ENDLESS": "1"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "test", "tests.EndlessTests"],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: servers(tmp_path))
    finally:
        process.kill()
        process.wait()
    until(lambda: not servers(tmp_path))


def until(matches):
    end = time.monotonic() + TIMEOUT_SECONDS
    while not matches():
        assert time.monotonic() < end
        time.sleep(0.1)
