"""Makes .venv and keeps it equal to the pinned requirements; does nothing when it already is."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time

from deploy.local.layout import ROOT

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# Every version from the oldest to the newest is tested. A newer one is tried.
OLDEST, NEWEST = (3, 11), (3, 14)
# A slow mirror is waited for; a hanging one is not.
INSTALL_SECONDS = 1200


class VenvError(Exception):
    """The environment could not be made."""


def ensure(wanted: str) -> None:
    """Installs requirements/`wanted`.txt ("local" or "dev") into .venv."""
    _check_version()
    if not _runs():
        print(f"making .venv with Python {_version()} ...", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    requirements = ROOT / "requirements" / f"{wanted}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = VENV / f".installed-{wanted}"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return
    count = requirements.read_text(encoding="utf-8").count("==")
    print(f"installing {count} pinned packages into .venv ...", flush=True)
    started = time.monotonic()
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--progress-bar=off"]
    _run([*pip, "--require-hashes", "--no-deps", "-r", str(requirements)])
    stamp.write_text(digest, encoding="utf-8")
    print(f"installed in {time.monotonic() - started:.0f} s", flush=True)


def _check_version() -> None:
    oldest, newest = (".".join(map(str, version)) for version in (OLDEST, NEWEST))
    if sys.version_info[:2] < OLDEST:
        raise VenvError(f"python3 is {_version()}; tidewire needs {oldest} or newer: make PYTHON=python{newest} ...")
    if sys.version_info[:2] > NEWEST:
        print(f"python3 is {_version()}; tidewire is tested up to {newest} and may not work", file=sys.stderr)


def _version() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def _runs() -> bool:
    """Whether .venv is whole: an upgrade of the system's Python, or a copied directory, leaves one that is not."""
    try:
        found = subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False, timeout=60)
    except OSError:
        return False
    return found.returncode == 0


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, timeout=INSTALL_SECONDS)
    if done.returncode:
        raise VenvError(f"failed with {done.returncode}: {' '.join(command)}")
