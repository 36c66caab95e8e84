"""The facts without which a figure has no value: the machine, the versions, the commit, the command."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from typing import Any

from bench import centrifugo
from bench.compared_servers import OPEN_FILES
from bench.paths import NODE
from bench.redis_server import RedisServer
from bench.server_processes import Cores, raise_open_files
from deploy.local.system import find_program
from testkit.machine_facts import commit, cpu_model, has_changes, output, package_versions

PYTHON_PACKAGES = (
    *("Django", "channels", "channels-redis", "redis", "daphne", "Twisted", "autobahn"),
    *("uvicorn", "websockets", "uvloop"),
)
NODE_PACKAGES = ("ws", "socket.io", "@socket.io/redis-adapter", "redis")


def about(command: list[str], redis: RedisServer, cores: Cores) -> dict[str, Any]:
    """Return the facts above the tables."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "command": " ".join(command),
        "commit": commit(),
        "changed": has_changes(),
        "cpu": cpu_model(),
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
    versions = package_versions(PYTHON_PACKAGES)
    versions["Redis"] = redis.version()
    if node := output("node", "--version"):
        versions["Node.js"] = node.removeprefix("v")
    for name in NODE_PACKAGES:
        package = NODE / "node_modules" / name / "package.json"
        if package.exists():
            versions[f"npm {name}"] = json.loads(package.read_text(encoding="utf-8"))["version"]
    if nginx := find_program("nginx"):
        version = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False, timeout=10).stderr
        versions["nginx"] = version.rpartition("/")[2].strip()
    if version := centrifugo.version():
        versions["Centrifugo"] = version
    if nchan := output("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"):
        versions["nchan (Debian)"] = nchan
    return versions


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return sys.platform
