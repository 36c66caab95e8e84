"""Creates .venv and keeps it equal to the pinned requirements; does nothing if it is equal already."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.layout import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# Beside .venv, which an installation may delete.
LOCK = ROOT / "var" / "venv.lock"
# Number of packages for each line of progress.
PACKAGES_PER_LINE = 20


class VenvError(Exception):
    """The environment could not be created; the message has the reason and the remedy, in one line."""


def ensure(wanted: str) -> None:
    """Install requirements/`wanted`.txt into .venv. Raises `VenvError`."""
    with _alone():
        if not works():
            print(f"making .venv with Python {_version(sys.version_info)} ...", flush=True)
            command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
            if subprocess.run(command, check=False, timeout=120).returncode:
                raise VenvError(f"{sys.executable} could not make {VENV}; the reason is above")
        stamp, digest = _stamp(wanted), _digest(wanted)
        if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
            return
        _forget()
        requirements = _requirements(wanted)
        pinned = len(re.findall(r"^[\w.-]+(?:\[.*\])?==", requirements.read_text(encoding="utf-8"), re.MULTILINE))
        print(f"installing {pinned} pinned packages into .venv ...", flush=True)
        started = time.monotonic()
        pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar=off"]
        _install([*pip, "--require-hashes", "--no-deps", "-r", str(requirements)], pinned)
        stamp.write_text(digest, encoding="utf-8")
        print(f"installed in {time.monotonic() - started:.0f} s", flush=True)


def works() -> bool:
    """Return whether .venv is whole: an upgrade of the system's Python, or a copy of the directory, may break it."""
    if not (VENV / "pyvenv.cfg").exists() or not _is_here():
        return False
    try:
        pip = subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False, timeout=60)
    except OSError:
        return False
    return pip.returncode == 0


def origin() -> str:
    """Return the version of .venv's interpreter, and its origin."""
    config = dict(re.findall(r"^(\S+) = (.*)$", (VENV / "pyvenv.cfg").read_text(encoding="utf-8"), flags=re.MULTILINE))
    # uv and virtualenv name it differently.
    version = config.get("version") or config.get("version_info", "unknown")
    own = _version(sys.version_info)
    changed = version.split(".")[:2] != own.split(".")[:2]
    hint = f"; python3 is {own}, which would be used after: rm -r .venv" if changed else ""
    return f"{version}, {config.get('home', 'unknown')}, with the packages in .venv{hint}"


def _version(version_info: tuple[object, ...]) -> str:
    return ".".join(map(str, version_info[:3]))


def _is_here() -> bool:
    """Return whether the commands in .venv start its own Python: those of a copied or moved one start another."""
    try:
        head = (VENV / "bin" / "pip").read_text(encoding="utf-8", errors="replace")[:2000]
        python = re.search(r"(/[^\n\"]*)/python", head)
        return python is None or Path(python[1]).samefile(VENV / "bin")
    except OSError:
        return False


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait for another make that installs, which would otherwise delete or change the same files."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another make, which installs into .venv ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget() -> None:
    """Delete the stamps of earlier installations that this one may change, and metadata of incomplete packages."""
    for stamp in VENV.glob(".installed-*"):
        # Its packages may be replaced now by those of other versions.
        wanted = stamp.name.removeprefix(".installed-")
        if not _requirements(wanted).exists() or stamp.read_text(encoding="utf-8") != _digest(wanted):
            stamp.unlink()
    for package in VENV.glob("lib/python*/site-packages/*.dist-info"):
        # Installers write this file last. Without it the package was interrupted, perhaps by a full disk, but pip
        # takes it for installed.
        if not (package / "INSTALLER").exists():
            shutil.rmtree(package)


def _requirements(wanted: str) -> Path:
    return ROOT / "requirements" / f"{wanted}.txt"


def _digest(wanted: str) -> str:
    return hashlib.sha256(_requirements(wanted).read_bytes()).hexdigest()


def _stamp(wanted: str) -> Path:
    return VENV / f".installed-{wanted}"


def _install(command: list[str], pinned: int) -> None:
    """Run pip and print its progress. pip prints errors itself, and gives up if an index hangs."""
    seen = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", errors="replace") as pip:
        for line in pip.stdout or ():
            if line.startswith(("Collecting ", "Ignoring ", "Requirement already satisfied")):
                seen += 1
                if seen % PACKAGES_PER_LINE == 0:
                    print(f"  {seen} of {pinned} downloaded", flush=True)
            elif line.startswith("Installing collected packages"):
                print("  all downloaded, installing", flush=True)
    if pip.returncode:
        raise VenvError(
            "pip could not install the pinned packages; the reason is above. Is the package index available?"
        )
