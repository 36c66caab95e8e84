"""deploy.local.system: the search for programs, and the command that installs missing ones."""

import dataclasses
import os
import subprocess
import sys

import pytest

from deploy.local import system
from deploy.local.system import NGINX, REDIS, missing

ABSENT = dataclasses.replace(NGINX, programs=("no-such-program",))


def program(path):
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def test_a_program_that_is_not_there_is_missing():
    assert missing([ABSENT]) == [ABSENT]


@pytest.mark.parametrize(("library", "is_met"), [("libc.so.6", True), ("libno-such.so.1", False)])
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux needs a library")
def test_a_library_is_a_need_too(library, is_met):
    """Playwright's driver did not start on Debian 12, and each test in a browser failed."""
    assert dataclasses.replace(system.LIBATOMIC, library=library).is_met() is is_met
    assert system.command([system.LIBATOMIC]).endswith(("libatomic1", "libatomic", "gcc-libs"))


def test_servers_are_found_outside_an_ordinary_users_path(monkeypatch, tmp_path):
    server = tmp_path / "some-server"
    program(server)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(system, "MORE_PATHS", (str(tmp_path),))
    assert system.find_program("some-server") == str(server)


@pytest.mark.parametrize(
    ("manager", "expected"),
    [
        ("apt-get", "sudo apt-get install nginx-light redis-server"),
        ("dnf", "sudo dnf install nginx valkey"),
        ("pacman", "sudo pacman -S nginx redis"),
        ("apk", "sudo apk add nginx redis"),
        ("brew", "brew install nginx redis"),
        ("none-known", "nginx, redis"),
    ],
)
def test_the_command_is_that_of_the_machines_package_manager(monkeypatch, tmp_path, manager, expected):
    monkeypatch.setattr(system, "MORE_PATHS", ())
    monkeypatch.setattr(system.os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path / manager)
    assert system.command([NGINX, REDIS]) == expected


def test_root_needs_no_sudo(monkeypatch, tmp_path):
    monkeypatch.setattr(system, "MORE_PATHS", ())
    monkeypatch.setattr(system.os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path / "dnf")
    assert system.command([NGINX]) == "dnf install nginx"


def test_nothing_is_installed_without_the_right_to(monkeypatch, tmp_path):
    monkeypatch.setattr(system, "_sudo", lambda: None)
    system.install([ABSENT], log=tmp_path / "apt.log")
    assert not (tmp_path / "apt.log").exists()


def test_a_package_that_does_not_exist_keeps_no_other_from_being_installed(monkeypatch, tmp_path, capsys):
    """Ubuntu has none of Chromium."""
    apt = tmp_path / "apt-get"
    program(apt)
    apt.write_text('#!/bin/sh\ncase "$*" in *no-such-package*) echo "E: no candidate"; exit 100;; esac\n')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(system, "_sudo", list)
    monkeypatch.setattr(system, "POLICY", tmp_path / "policy-rc.d")
    needs = [dataclasses.replace(NGINX, packages={"apt-get": name}) for name in ("no-such-package", "nginx curl")]
    calls, run = [], subprocess.run
    monkeypatch.setattr(
        system.subprocess, "run", lambda command, **more: (calls.append(command), run(command, **more))[1]
    )
    system.install(needs, log=tmp_path / "apt.log")
    assert [call[call.index("--no-install-recommends") + 1 :] for call in calls if "-y" in call] == [
        ["no-such-package"],
        ["nginx", "curl"],
    ]
    assert "E: no candidate" in capsys.readouterr().err


def test_services_cannot_start_while_packages_are_installed(monkeypatch, tmp_path):
    """Exit status 101 of Debian's policy-rc.d forbids a start. The original content must be restored."""
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    monkeypatch.setattr(system, "POLICY", policy)
    with system._no_service_starts([]):
        assert "exit 101" in policy.read_text()
        assert policy.stat().st_mode & 0o111
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_a_policy_left_by_a_killed_run_is_not_kept(monkeypatch, tmp_path):
    policy = tmp_path / "policy-rc.d"
    policy.write_text(f"#!/bin/sh\n{system.POLICY_MARK}\nexit 101\n")
    monkeypatch.setattr(system, "POLICY", policy)
    with system._no_service_starts([]):
        pass
    assert not policy.exists()
