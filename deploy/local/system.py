"""The programs that no Python package brings: finds them, installs them by apt when it may, else says how to."""

from __future__ import annotations

import contextlib
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
    from collections.abc import Iterator, Sequence

# Where servers are installed, which an ordinary user's PATH leaves out.
MORE_PATHS = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/bin", "/usr/local/bin")
# A slow mirror is waited for; a hanging one is not.
APT_SECONDS = 900
# Links to the programs that Python packages in .venv carry, for what the system lacks: `deploy.local.programs`.
PROGRAMS = ROOT / ".venv" / "programs"
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_MARK = "# tidewire: packages installed now must not start services"


def find_program(*names: str) -> str | None:
    """Return the path of the first of these programs that is installed; one of `.venv` comes before the system's."""
    return _which(names, (str(PROGRAMS), os.environ.get("PATH", os.defpath), *MORE_PATHS))


def find_outside_venv(*names: str) -> str | None:
    """Return the path of the first of these programs that the system has."""
    return _which(names, (os.environ.get("PATH", os.defpath), *MORE_PATHS))


def _which(names: Sequence[str], directories: Sequence[str]) -> str | None:
    path = os.pathsep.join(directories)
    return next((found for found in (shutil.which(name, path=path) for name in names) if found), None)


@dataclasses.dataclass(frozen=True)
class Need:
    """One thing that must be there, and the packages that bring it on each system, with spaces between them."""

    name: str
    programs: tuple[str, ...]
    debian: str
    fedora: str
    macos: str
    # systemd's name of the service that the package would enable; ours run beside it, on other ports.
    service: str = ""

    def is_met(self) -> bool:
        if self is VENV:
            return importlib.util.find_spec("ensurepip") is not None
        return find_program(*self.programs) is not None


VENV = Need("python's venv", (), "python3-venv", "python3", "python@3.13")
REDIS = Need("redis-server", ("redis-server", "valkey-server"), "redis-server", "valkey", "redis", "redis-server")
NGINX = Need("nginx", ("nginx",), "nginx-light", "nginx", "nginx", "nginx")
COMPILER = Need("a C compiler", ("cc", "gcc", "clang"), "build-essential", "gcc", "gcc")
PROMETHEUS = Need("prometheus", ("prometheus",), "prometheus", "golang-github-prometheus", "prometheus", "prometheus")
CHROMIUM = Need(
    "chromium", ("chromium", "chromium-browser", "google-chrome"), "chromium fonts-dejavu-core", "chromium", "chromium"
)


def missing(needs: Sequence[Need]) -> list[Need]:
    return [need for need in needs if not need.is_met()]


def install(needs: Sequence[Need], *, log: Path) -> None:
    """Installs by apt, where that is possible, without starting any service. What is missing still is asked anew."""
    sudo = _sudo()
    if sudo is None or not find_program("apt-get"):
        return
    packages = _packages(need.debian for need in needs).split()
    print(f"installing {' '.join(packages)} by apt-get ...", flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    get = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"]
    with log.open("w", encoding="utf-8") as output, _no_service_starts(sudo):
        for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(
                [*get, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=APT_SECONDS,
            )
            # A mirror that is away now may not be needed: the lists can be good already.
            if done.returncode and command[0] == "install":
                print(f"apt-get failed; its last words, of {log}:\n{tail(log, lines=15)}", file=sys.stderr)
                return
    _disable_services(sudo, [need.service for need in needs if need.service])


def how_to_install(needs: Sequence[Need]) -> str:
    """What to type, for each system."""
    return "\n".join(
        (
            f"missing: {', '.join(need.name for need in needs)}. Install:",
            f"  Debian, Ubuntu:  sudo apt-get install {_packages(need.debian for need in needs)}",
            f"  Fedora:          sudo dnf install {_packages(need.fedora for need in needs)}",
            f"  macOS:           brew install {_packages(need.macos for need in needs)}",
        )
    )


def tail(path: Path, *, lines: int) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _packages(names: Iterator[str]) -> str:
    return " ".join(dict.fromkeys(names))


def _sudo() -> list[str] | None:
    """What to put before a command for it to run as root: nothing, sudo without a password, or None: not possible."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False, timeout=10).returncode == 0:
        return [sudo, "-n"]
    return None


@contextlib.contextmanager
def _no_service_starts(sudo: Sequence[str]) -> Iterator[None]:
    """Debian's own way to say that packages may not start their services (policy-rc.d), for the duration."""
    saved = POLICY.with_name("policy-rc.d.before-tidewire")
    # One that carries our mark was left by a run that was killed; it is nobody's own.
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
    """The packages enable their services for the next boot; what we installed must not take their standard ports."""
    if services and Path("/run/systemd/system").is_dir():
        subprocess.run([*sudo, "systemctl", "disable", *services], capture_output=True, check=False, timeout=60)


def _as_root(sudo: Sequence[str], *command: str) -> None:
    subprocess.run([*sudo, *command], check=True, timeout=30)
