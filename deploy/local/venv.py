"""Creates .venv and keeps it equal to the pinned requirements; does nothing if it is equal already."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import time

from deploy.local.layout import ROOT

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# Number of packages for each line of progress.
PACKAGES_PER_LINE = 20


class VenvError(Exception):
    """The environment could not be created; the message has the reason and the remedy, in one line."""


def ensure(wanted: str) -> None:
    """Install requirements/`wanted`.txt into .venv. Raises `VenvError`."""
    if not _runs():
        print(f"making .venv with Python {_version(sys.version_info)} ...", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False, timeout=120).returncode:
            raise VenvError(f"{sys.executable} could not make {VENV}; the reason is above")
    requirements = ROOT / "requirements" / f"{wanted}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = VENV / f".installed-{wanted}"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return
    pinned = requirements.read_text(encoding="utf-8").count("==")
    print(f"installing {pinned} pinned packages into .venv ...", flush=True)
    started = time.monotonic()
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar=off"]
    _install([*pip, "--require-hashes", "--no-deps", "-r", str(requirements)], pinned)
    stamp.write_text(digest, encoding="utf-8")
    print(f"installed in {time.monotonic() - started:.0f} s", flush=True)


def origin() -> str:
    """Return the version of .venv's interpreter, and its origin."""
    made = dict(re.findall(r"^(\S+) = (.*)$", (VENV / "pyvenv.cfg").read_text(encoding="utf-8"), flags=re.MULTILINE))
    version = made.get("version", "unknown")
    own = _version(sys.version_info)
    changed = version.split(".")[:2] != own.split(".")[:2]
    hint = f"; python3 is {own}, which would be used after: rm -r .venv" if changed else ""
    return f"{version}, {made.get('home', 'unknown')}, with the packages in .venv{hint}"


def _version(version_info: tuple[object, ...]) -> str:
    return ".".join(map(str, version_info[:3]))


def _runs() -> bool:
    """Return whether .venv can run: an upgrade of the system's Python, or a copy of the directory, may break it."""
    try:
        found = subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False, timeout=60)
    except OSError:
        return False
    return found.returncode == 0


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
