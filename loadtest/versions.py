"""The versions in a run: the commit, the packages, the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from deploy.local.layout import ROOT
from deploy.local.system import find_program

PACKAGES = ("locust", "gevent", "websocket-client", "Django", "channels", "daphne", "Twisted", "redis", "gunicorn")


def versions() -> dict[str, str]:
    # An image has no repository, so its build must set the revision.
    commit = _said("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD") or os.environ.get("TIDEWIRE_REVISION", "")
    found = {"tidewire": commit[:12] or "unknown"}
    if _said("git", "-C", str(ROOT), "status", "--porcelain", "--", "src", "services"):
        found["tidewire"] += " with changes"
    found["Python"] = platform.python_version()
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    redis = find_program("redis-server", "valkey-server")
    if redis and (words := _said(redis, "--version").split("v=")[1:]):
        found["Redis"] = words[0].split()[0]
    return found


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 - our own
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
