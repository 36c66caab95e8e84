"""deploy.local.machine and venv: the packages that a target installs, and the lines that it prints."""

import dataclasses
import subprocess
import sys
import threading
import types

import pytest

from deploy.local import machine, programs, system, venv

ABSENT = dataclasses.replace(system.CHROMIUM, programs=("no-such-program",))


@pytest.fixture
def prepare(monkeypatch, capsys, tmp_path):
    """Return `prepare(required=..., optional=...)`, on a machine that has apt-get but gives no right to use it."""
    for name in ("apt-get", "prometheus"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(system, "MORE_PATHS", ())
    monkeypatch.setattr(system, "_sudo", lambda: None)
    monkeypatch.setattr(system.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(venv, "works", lambda: True)
    monkeypatch.setattr(venv, "ensure", lambda wanted: sys.stdout.write(f"installed {wanted}\n"))
    monkeypatch.setattr(venv, "origin", lambda: "3.14.8, /usr/bin")
    monkeypatch.setattr(programs, "ensure", lambda: sys.stdout.write("redis: 8.2.1, /usr/bin/redis-server\n"))

    def run(*, required=(), optional=()):
        monkeypatch.setitem(machine.TARGETS, "test", ("dev", True, required, optional))
        status = machine.prepare("test")
        return status, capsys.readouterr()

    return run


def test_each_part_is_printed_with_its_origin(prepare, tmp_path):
    status, printed = prepare(optional=(system.PROMETHEUS,))
    assert status == 0
    assert printed.out.splitlines() == [
        "installed dev",
        "python: 3.14.8, /usr/bin",
        "redis: 8.2.1, /usr/bin/redis-server",
        f"prometheus: {tmp_path / 'prometheus'}",
    ]


def test_what_must_be_there_stops_with_the_command_of_this_machine(prepare):
    status, printed = prepare(required=(ABSENT,))
    assert status == 1
    assert printed.out == ""
    assert printed.err == (
        "chromium is missing. Install, then run make again: sudo apt-get install chromium fonts-dejavu-core\n"
    )


def test_files_of_an_earlier_start_by_root_are_named_in_one_line(prepare, monkeypatch):
    def link():
        raise PermissionError(13, "Permission denied", "/project/.venv/programs/nginx")

    monkeypatch.setattr(programs, "ensure", link)
    status, printed = prepare()
    assert status == 1
    assert printed.err == (
        "/project/.venv/programs/nginx belongs to another user. "
        "If make ran as root before: sudo chown -R $USER .venv var\n"
    )


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), subprocess.TimeoutExpired(["python", "-m", "venv"], 120)]
)
def test_a_full_disk_or_a_step_that_hangs_is_one_line(prepare, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(programs, "ensure", fail)
    status, printed = prepare()
    assert (status, printed.err) == (1, f"{error}\n")


def test_what_is_optional_only_skips_tests(prepare):
    status, printed = prepare(optional=(ABSENT,))
    assert status == 0
    assert printed.out.splitlines()[-1].startswith("chromium is missing: tests that need it are skipped.")


def test_a_failure_of_apt_is_one_line_and_the_command_is_named(prepare, monkeypatch):
    def fail(needs, log):
        raise subprocess.CalledProcessError(1, ["install", "policy-rc.d"])

    monkeypatch.setattr(system, "install", fail)
    status, printed = prepare(required=(ABSENT,))
    assert status == 1
    assert [line.partition(":")[0] for line in printed.err.splitlines()] == [
        "apt-get could not be used",
        "chromium is missing. Install, then run make again",
    ]


def test_debians_python_without_venv_names_its_one_package(prepare, monkeypatch):
    """If there is a .venv, too: `python3 -m venv` of such a Python leaves one without pip."""
    monkeypatch.setattr(venv, "works", lambda: False)
    monkeypatch.setattr(system.importlib.util, "find_spec", lambda _name: None)
    status, printed = prepare()
    assert status == 1
    assert printed.err.startswith("Python's venv is missing. Install, then run make again: sudo apt-get install python")
    assert printed.err.endswith("-venv\n")
    assert printed.err.count("\n") == 1


def pip(*lines: str, status: int = 0) -> list[str]:
    return [sys.executable, "-c", f"import sys; print({chr(10).join(lines)!r}); sys.exit({status})"]


def test_an_installation_prints_how_far_it_is(capsys):
    venv._install(pip(*(f"Collecting p{i}==1" for i in range(45)), "Installing collected packages: p0, p1"), 45)
    assert capsys.readouterr().out.splitlines() == [
        "  20 of 45 downloaded",
        "  40 of 45 downloaded",
        "  all downloaded, installing",
    ]


def test_an_installation_that_fails_is_an_error_in_one_line():
    with pytest.raises(venv.VenvError, match=r"^pip could not install the pinned packages; .*$"):
        venv._install(pip("Collecting p==1", status=1), 1)


def test_an_environment_of_another_python_is_kept_and_named(monkeypatch, tmp_path):
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.1\n")
    monkeypatch.setattr(venv, "VENV", tmp_path)
    monkeypatch.setattr(venv.sys, "version_info", (3, 12, 7))
    assert venv.origin() == "3.12.1, /usr/bin, with the packages in .venv"
    monkeypatch.setattr(venv.sys, "version_info", (3, 14, 0))
    assert venv.origin().endswith("; python3 is 3.14.0, which would be used after: rm -r .venv")


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """A .venv of two packages; `calls` has, for each installation, the packages that pip would have found."""
    root = tmp_path / "clone"
    (root / "requirements").mkdir(parents=True)
    for name in ("local", "dev"):
        (root / "requirements" / f"{name}.txt").write_text("p==1 ; x == 'y'\nq[r]==1\n")
    monkeypatch.setattr(venv, "ROOT", root)
    monkeypatch.setattr(venv, "VENV", root / ".venv")
    monkeypatch.setattr(venv, "PYTHON", root / ".venv/bin/python")
    monkeypatch.setattr(venv, "LOCK", root / "var/venv.lock")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True, timeout=60)
    site = next(root.glob(".venv/lib/python*/site-packages"))
    (site / "pip").mkdir()
    (site / "pip/__main__.py").touch()
    (root / ".venv/bin/pip").write_text(f"#!{root}/.venv/bin/python3\n")
    state = types.SimpleNamespace(directory=root, packages=site, calls=[])

    def install(_command, pinned):
        assert pinned == 2
        state.calls.append(sorted(path.name for path in site.glob("*.dist-info")))

    monkeypatch.setattr(venv, "_install", install)
    return state


def test_packages_are_installed_once(environment):
    for wanted in ("local", "local", "dev", "local"):
        venv.ensure(wanted)
    assert len(environment.calls) == 2


def test_a_return_to_earlier_requirements_installs_them_again(environment):
    """`git checkout` of another commit and back: between, another target's installation replaced the packages."""
    venv.ensure("dev")
    requirements = environment.directory / "requirements"
    old = (requirements / "dev.txt").read_text()
    for name in ("local", "dev"):
        (requirements / f"{name}.txt").write_text("p==2\nq==1\n")
    venv.ensure("local")
    (requirements / "dev.txt").write_text(old)
    venv.ensure("dev")
    assert len(environment.calls) == 3


def test_a_package_whose_installation_was_interrupted_is_installed_again(environment):
    for name, files in (("whole-1", ("METADATA", "INSTALLER", "RECORD")), ("half-1", ("METADATA", "RECORD"))):
        package = environment.packages / f"{name}.dist-info"
        package.mkdir()
        for file in files:
            (package / file).touch()
    venv.ensure("local")
    assert environment.calls == [["whole-1.dist-info"]]


@pytest.mark.parametrize(
    "script", ["#!{}/bin/python3\n", '#!/bin/sh\n\'\'\'exec\' "{}/bin/python3" "$0" "$@"\n'], ids=["short", "long"]
)
def test_a_copied_or_moved_environment_is_not_whole(environment, script, monkeypatch):
    """Its commands start the Python of the other directory, which may still exist."""
    pip = environment.directory / ".venv/bin/pip"
    pip.write_text(script.format(environment.directory / ".venv"))
    assert venv.works()
    link = environment.directory / "link"
    link.symlink_to(environment.directory / ".venv")
    monkeypatch.setattr(venv, "VENV", link)
    assert venv.works()
    (environment.directory / "other/bin").mkdir(parents=True)
    for other in (environment.directory / "other", "/nowhere/python-projects/clone/.venv"):
        pip.write_text(script.format(other))
        assert not venv.works()


def test_an_environment_without_its_configuration_is_not_whole(environment):
    """Its Python would be the system's, and pip would install there."""
    (environment.directory / ".venv/pyvenv.cfg").unlink()
    assert not venv.works()


def test_two_installations_do_not_run_at_once(environment, capsys):
    with venv._alone():
        other = threading.Thread(target=venv.ensure, args=("local",))
        other.start()
        output = ""
        while "waiting for another make" not in output:
            assert other.is_alive()
            output += capsys.readouterr().out
        assert environment.calls == []
    other.join(30)
    assert len(environment.calls) == 1
