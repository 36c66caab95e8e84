"""The facts without which a figure has no value: the machine, the versions, the commit, the command."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.compared_servers import OPEN_FILES
from bench.paths import NODE, ROOT
from bench.redis_server import RedisServer
from bench.server_processes import Cores, raise_open_files
from deploy.local.system import find_program

PYTHON_PACKAGES = (
    *("Django", "channels", "channels-redis", "redis", "daphne", "Twisted", "autobahn"),
    *("uvicorn", "websockets", "uvloop"),
)
NODE_PACKAGES = ("ws", "socket.io", "@socket.io/redis-adapter", "redis")


def about(command: list[str], redis: RedisServer, cores: Cores) -> dict[str, Any]:
    """Return the facts that stand above the tables."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "command": " ".join(command),
        "commit": _said("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD") or "unknown",
        "changed": bool(_said("git", "-C", str(ROOT), "status", "--porcelain", "--", "src", "services")),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release(),
        "system": _system(),
        "open_files": raise_open_files(OPEN_FILES),
        "pinned": None if cores.server is None else {"server": cores.server, "others": cores.others},
        "load_at_start": round(os.getloadavg()[0], 2),
        "versions": _versions(redis),
    }


def _versions(redis: RedisServer) -> dict[str, str]:
    found = {"Python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in PYTHON_PACKAGES}
    found["Redis"] = redis.version()
    if node := _said("node", "--version"):
        found["Node.js"] = node.removeprefix("v")
    for name in NODE_PACKAGES:
        package = NODE / "node_modules" / name / "package.json"
        if package.exists():
            found[f"npm {name}"] = json.loads(package.read_text(encoding="utf-8"))["version"]
    if nginx := find_program("nginx"):
        said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False, timeout=10).stderr
        found["nginx"] = said.rpartition("/")[2].strip()
    if nchan := _said("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"):
        found["nchan (Debian)"] = nchan
    return found


def _said(*command: str) -> str:
    """Return the output of a program, or an empty text if it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return sys.platform
