"""Samples of the stack's state: memory, file descriptors and tasks of each ws process, memory of Redis."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import redis

from tests.stack import Node, Stack

MIB = 2**20


def sample(stack: Stack) -> dict[str, float]:
    """Return the name of each series with its current value. Memory is in MiB."""
    results: dict[str, float] = {}
    for node in stack.ws:
        results[f"{node.name} RSS"] = _rss_mib(node.pid)
        results[f"{node.name} file descriptors"] = len(list(Path(f"/proc/{node.pid}/fd").iterdir()))
        metrics = _metrics(node)
        results[f"{node.name} tasks"] = metrics["tidewire_asyncio_tasks"]
        results[f"{node.name} sockets"] = sum(
            value for name, value in metrics.items() if name.startswith("tidewire_connections{")
        )
    with redis.Redis.from_url(stack.redis_url, decode_responses=True) as client:
        results["Redis memory"] = client.info("memory")["used_memory"] / MIB
    return results


def _rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) / 1024


def _metrics(node: Node) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{node.admin_port}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}
