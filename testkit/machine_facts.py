"""The facts without which a figure has no value: the commit, the versions of packages and programs, the processor."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

from deploy.local.layout import ROOT
from deploy.local.system import find_program

TIMEOUT_SECONDS = 10


def output(*command: str) -> str:
    """Return the output of a program, or an empty text if it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)  # noqa: S603 - our own
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def commit() -> str:
    """Return the commit. An image has no repository, so its build must set the revision."""
    revision = output("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD")
    return revision or os.environ.get("TIDEWIRE_REVISION", "")[:12] or "unknown"


def has_changes() -> bool:
    """Return whether the product has changes that are not committed."""
    return bool(output("git", "-C", str(ROOT), "status", "--porcelain", "--", "src", "services"))


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed."""
    versions = {"Python": platform.python_version()}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def redis_version() -> str:
    """Return the version of the machine's Redis, or an empty text if there is none."""
    program = find_program("redis-server", "valkey-server")
    words = output(program, "--version").split("v=")[1:] if program else []
    return words[0].split()[0] if words else ""


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
