"""Finds the system's programs. Installs missing ones by apt if that needs no password, else prints the command."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.layout import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Directories of servers, which an ordinary user's PATH may lack.
MORE_PATHS = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/bin", "/usr/local/bin")
# Long enough for a slow mirror, but not for a mirror that hangs.
APT_SECONDS = 900
# Links to programs from Python packages in .venv, which replace missing programs of the system:
# `deploy.local.programs`.
PROGRAMS = ROOT / ".venv" / "programs"
# The command to install a package, by the machine's package manager.
MANAGERS = {
    "apt-get": "sudo apt-get install",
    "dnf": "sudo dnf install",
    "pacman": "sudo pacman -S",
    "apk": "sudo apk add",
    "brew": "brew install",
}
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_MARK = "# tidewire: packages installed now must not start services"


def search_path() -> str:
    """Return PATH, with the programs of wheels before it and the directories of servers after it."""
    return os.pathsep.join((str(PROGRAMS), _system_path()))


def find_program(*names: str) -> str | None:
    """Return the path of the first of these programs that is installed; a wheel's program comes before the system's."""
    return _which(names, search_path())


def find_outside_venv(*names: str) -> str | None:
    """Return the path of the first of these programs that the system has."""
    return _which(names, _system_path())


def _system_path() -> str:
    # The tests' PATH begins with the programs of wheels.
    entries = [each for each in os.environ.get("PATH", os.defpath).split(os.pathsep) if each != str(PROGRAMS)]
    return os.pathsep.join((*entries, *MORE_PATHS))


def _which(names: Sequence[str], path: str) -> str | None:
    return next(
        (path_of_name for path_of_name in (shutil.which(name, path=path) for name in names) if path_of_name), None
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Need:
    """A requirement, and the packages that meet it by package manager, separated by spaces."""

    name: str
    programs: tuple[str, ...]
    packages: Mapping[str, str]
    # systemd's name of the service that the package would enable; the stack's own server uses other ports beside it.
    service: str = ""
    # A shared library of Linux, in place of a program.
    library: str = ""

    def is_met(self) -> bool:
        if self is VENV:
            return importlib.util.find_spec("ensurepip") is not None
        if self.library:
            return sys.platform != "linux" or _loads(self.library)
        return find_program(*self.programs) is not None


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _in_all(package: str, **others: str) -> Mapping[str, str]:
    return dict.fromkeys(MANAGERS, package) | {name.replace("_", "-"): named for name, named in others.items()}


# Only Debian leaves it out. It is in a package with the interpreter's name: python3-venv, python3.13-venv.
_INTERPRETER = Path(sys.executable).name
VENV = Need(
    "Python's venv",
    (),
    _in_all("python3", apt_get=f"{'python3' if _INTERPRETER == 'python' else _INTERPRETER}-venv"),
)
REDIS = Need("redis", ("redis-server", "valkey-server"), _in_all("redis", apt_get="redis-server", dnf="valkey"))
NGINX = Need("nginx", ("nginx",), _in_all("nginx", apt_get="nginx-light"))
COMPILER = Need("a C compiler", ("cc", "gcc", "clang"), _in_all("gcc", apt_get="build-essential", apk="build-base"))
PROMETHEUS = Need(
    "prometheus", ("prometheus",), _in_all("prometheus", dnf="golang-github-prometheus"), service="prometheus"
)
CHROMIUM = Need(
    "chromium",
    # The last may be a script of Ubuntu that asks for a snap.
    ("chromium", "google-chrome", "chromium-browser"),
    _in_all("chromium", apt_get="chromium fonts-dejavu-core"),
)

# The Node.js in Playwright's wheel needs it. Chromium brings it on Debian 13, but not on Debian 12.
LIBATOMIC = Need(
    "libatomic", (), _in_all("libatomic", apt_get="libatomic1", pacman="gcc-libs"), library="libatomic.so.1"
)


def missing(needs: Sequence[Need]) -> list[Need]:
    return [need for need in needs if not need.is_met()]


def install(needs: Sequence[Need], *, log: Path) -> None:
    """Install by apt if possible, without starting services. The caller must check for packages still missing."""
    sudo = _sudo()
    if sudo is None or not find_program("apt-get"):
        return
    print(f"installing {_packages('apt-get', needs)} by apt-get ...", flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    get = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"]
    # A command for each, because Ubuntu has no package of Chromium, and the others must be installed nevertheless.
    installs = [["install", "-y", "--no-install-recommends", *need.packages["apt-get"].split()] for need in needs]
    with log.open("w", encoding="utf-8") as output, _no_service_starts(sudo):
        for command in (["update"], *installs):
            done = subprocess.run(
                [*get, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=APT_SECONDS,
            )
            # If the mirror is unavailable, the lists of an earlier update may still be sufficient.
            if done.returncode and command[0] == "install":
                print(f"apt-get failed; its last words, of {log}:\n{tail(log, lines=15)}", file=sys.stderr)
    _disable_services(sudo, [need.service for need in needs if need.service and need.is_met()])


def command(needs: Sequence[Need]) -> str:
    """Return the command that installs `needs` by the machine's package manager, or only their names if it has none."""
    manager = next((name for name in MANAGERS if find_outside_venv(name)), None)
    if manager is None:
        return ", ".join(need.name for need in needs)
    install = MANAGERS[manager].removeprefix("sudo " if os.geteuid() == 0 else "")
    return f"{install} {_packages(manager, needs)}"


def not_ours(error: PermissionError) -> str:
    """Return the line for a file that this user may not write, usually from an earlier start by root."""
    return f"{error.filename} belongs to another user. If make ran as root before: sudo chown -R $USER .venv var"


def tail(path: Path, *, lines: int) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _packages(manager: str, needs: Sequence[Need]) -> str:
    return " ".join(dict.fromkeys(need.packages[manager] for need in needs))


def _sudo() -> list[str] | None:
    """Return the prefix that runs a command as root: empty, or sudo if it needs no password. None: impossible."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False, timeout=10).returncode == 0:
        return [sudo, "-n"]
    return None


@contextlib.contextmanager
def _no_service_starts(sudo: Sequence[str]) -> Iterator[None]:
    """Keep packages from starting their services for the duration of the block, in Debian's way (policy-rc.d)."""
    saved = POLICY.with_name("policy-rc.d.before-tidewire")
    # A policy with this mark is from a run that was killed.
    ours = POLICY.exists() and POLICY_MARK in POLICY.read_text(encoding="utf-8", errors="replace")
    keep = POLICY.exists() and not ours
    with tempfile.NamedTemporaryFile("w", suffix=".sh", encoding="utf-8") as refuse:
        refuse.write(f"#!/bin/sh\n{POLICY_MARK}\nexit 101\n")
        refuse.flush()
        if keep:
            _as_root(sudo, "mv", str(POLICY), str(saved))
        _as_root(sudo, "install", "-m", "755", refuse.name, str(POLICY))
    try:
        yield
    finally:
        if saved.exists():
            _as_root(sudo, "mv", str(saved), str(POLICY))
        else:
            _as_root(sudo, "rm", "-f", str(POLICY))


def _disable_services(sudo: Sequence[str], services: Sequence[str]) -> None:
    """Disable the packages' services, which must not take their standard ports at the next boot."""
    if services and Path("/run/systemd/system").is_dir():
        subprocess.run([*sudo, "systemctl", "disable", *services], capture_output=True, check=False, timeout=60)


def _as_root(sudo: Sequence[str], *command: str) -> None:
    subprocess.run([*sudo, *command], check=True, timeout=30)
