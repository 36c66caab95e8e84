"""deploy.local.setup: the accepted interpreters, and the error for one that is too old."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deploy.local import machine, setup
from deploy.local.layout import ROOT


@pytest.fixture
def run(monkeypatch, capsys):
    """Return `run((3, 10, 9))`, which gives the exit status under that version and the output."""
    monkeypatch.setattr(machine, "prepare", lambda target: sys.stdout.write(f"preparing for {target}\n") * 0)

    def main(version):
        monkeypatch.setattr(setup.sys, "version_info", version)
        status = setup.main("up")
        return status, capsys.readouterr()

    return main


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 9, 18), (3, 10, 13)])
def test_an_interpreter_that_is_too_old_is_refused_in_one_line(run, version):
    status, printed = run(version)
    assert status == 1
    assert printed.out == ""
    assert re.fullmatch(r"\S+ is Python [\d.]+; tidewire needs 3\.11 or newer: .*PYTHON=.*\n", printed.err)


def test_the_remedy_names_the_newest_interpreter_that_this_machine_has(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install a newer one" in setup.refusal((3, 9, 18))
    for name in ("python3.11", "python3.13"):
        (tmp_path / name).symlink_to(sys.executable)
    (tmp_path / "python3.14").write_text("#!/bin/false\n")
    (tmp_path / "python3.14").chmod(0o755)
    assert setup.refusal((3, 9, 18)).endswith("make PYTHON=python3.13 ...")


@pytest.mark.parametrize(("version", "warned"), [((3, 11, 0), False), ((3, 14, 9), False), ((3, 15, 0), True)])
def test_a_newer_interpreter_is_tried_with_a_line_of_warning(run, version, warned):
    status, printed = run(version)
    assert (status, printed.out) == (0, "preparing for up\n")
    assert printed.err == ("python3 is 3.15.0; tidewire is tested up to 3.14\n" if warned else "")


def test_the_package_says_the_same_versions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={setup._text(setup.OLDEST)}"
    classifiers = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert (classifiers[0], classifiers[-1]) == (setup._text(setup.OLDEST), setup._text(setup.NEWEST))


def test_an_old_interpreter_can_read_the_file():
    source = (ROOT / "deploy" / "local" / "setup.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 6))
    # `from __future__ import annotations` is a syntax error before 3.7; other imports would run before the check.
    imported = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imported] == ["import shutil", "import subprocess", "import sys"]


def test_an_interrupted_installation_ends_without_a_traceback(tmp_path):
    interrupted = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    (tmp_path / "sitecustomize.py").write_text(
        f"from deploy.local import machine\ndef prepare(target): {interrupted}\nmachine.prepare = prepare\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local.setup", "up"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("version", ["3.6", "3.9", "3.10"])
def test_a_real_old_interpreter_gets_the_line(version):
    """Before 3.7 the usual first import is a syntax error. 3.10 is the newest version that is too old."""
    candidates = (shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python3"))
    python = next((str(path) for path in candidates if path and setup._runs(str(path))), None)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    done = subprocess.run(
        ["make", f"PYTHON={python}", "up"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )
    line, _of_make = done.stderr.splitlines()
    assert "tidewire needs 3.11 or newer" in line


def test_variables_of_the_caller_do_not_lead_to_another_project(tmp_path):
    """Django's settings of another project would be those of the tests, and pip would install beside .venv."""
    printing = tmp_path / "python3"
    printing.write_text("#!/bin/sh\nenv\n")
    printing.chmod(0o755)
    hostile = {
        "PYTHONHOME": "/other",
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": "/other",
        "PYTHONUTF8": "0",
        "PIP_TARGET": "/other",
        "PIP_PREFIX": "/other",
        "PIP_USER": "1",
        "DJANGO_SETTINGS_MODULE": "other.settings",
        "http_proxy": "http://proxy.example.com:3128",
        "NO_PROXY": "example.com",
    }
    done = subprocess.run(
        ["make", f"PYTHON={printing}", "setup"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **hostile},
        timeout=30,
        capture_output=True,
        text=True,
        check=True,
    )
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert {name: seen[name] for name in (*hostile, "no_proxy") if name in seen} == {
        "PYTHONPATH": "src:services",
        "PYTHONUTF8": "1",
        "PIP_USER": "0",
        "http_proxy": "http://proxy.example.com:3128",
        "NO_PROXY": "localhost,127.0.0.1,example.com",
        "no_proxy": "localhost,127.0.0.1,example.com",
    }
