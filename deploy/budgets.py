"""The sums of all processes' resources, each compared with the capacity of its server, and refused if too large.

Pure arithmetic: deploy.k8s.check.cluster_budget and deploy.compose.compose_budget read the numbers from their files.
"""
# ruff: noqa: INP001 - deploy/ is no package; found from the root

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from tidewire.conf import Settings
from tidewire.redis.clients import MAX_CONNECTIONS
from tidewire.server.open_files import OTHER_FILES

# Besides the threads that answer requests, a Gunicorn process has one that publishes and, during a scrape, one that
# counts the outbox, each with its own connection.
WEB_OTHER_THREADS = 2
# Synchronous code of a ws process runs in one thread, for any number of sockets.
WS_CONNECTIONS = 1
# The relay's own connection, and one of a process that takes over from it.
RELAY_CONNECTIONS = 2
# A migration, the exporter (limited by its role), PostgreSQL's reserve for superusers, and people with a shell.
OTHER_CONNECTIONS = {"migrate": 1, "exporter": 4, "superusers": 3, "people": 4}
# The channel layer's pool (dashboard.settings) and the library's.
REDIS_CONNECTIONS = 100 + MAX_CONNECTIONS
# Exporter, health checks, replicas and Sentinels.
OTHER_REDIS_CLIENTS = 50
# The client's connection of a socket, and the upstream's.
NGINX_CONNECTIONS_PER_SOCKET = 2
# Reserved for pages and for connections that are closing.
NGINX_HEADROOM = 0.1
KIB = 1024
MIB = 1024 * KIB
# Measured: 22 KiB for an idle socket through nginx (3,000 of them), plus the kernel's memory for it.
NGINX_SOCKET_BYTES = 25 * KIB
NGINX_BASE_BYTES = 40 * MIB
# docs/facts: 23 to 35 KiB for a socket with its consumer; some sockets read slowly and have a full backlog.
WS_SOCKET_BYTES = 36 * KIB
WS_BASE_BYTES = 110 * MIB
WS_SLOW_SHARE = 0.01
# Each connection of PostgreSQL is a process, with private memory, and counts in the container's number of processes.
POSTGRES_CONNECTION_BYTES = 3 * MIB
POSTGRES_BASE_BYTES = 180 * MIB
POSTGRES_OTHER_PROCESSES = 20
# Redis needs memory above `maxmemory` for buffers and fragmentation.
REDIS_MEMORY_SHARE = 0.8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fleet:
    """The greatest number of each that may run at once, including those that start while others end. None: unknown."""

    web: int
    web_workers: int
    web_threads: int
    ws: int
    relays: int
    nginx: int
    connections_per_node: int
    database_connections: int
    redis_clients: int
    nginx_workers: int
    nginx_worker_connections: int
    nginx_worker_files: int
    nginx_files: int | None = None
    nginx_memory_bytes: int | None = None
    ws_files: int | None = None
    ws_memory_bytes: int | None = None
    postgres_memory_bytes: int | None = None
    postgres_processes: int | None = None
    redis_memory_bytes: int | None = None
    redis_maxmemory_bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class Budget:
    """A budget: `parts` are the uses by name, `allowed` is the capacity."""

    of: str
    parts: dict[str, float]
    allowed: float
    allowed_by: str
    remedy: str

    def problem(self) -> str | None:
        total = sum(self.parts.values())
        if total <= self.allowed:
            return None
        terms = " + ".join(f"{name} {value:,.0f}" for name, value in self.parts.items())
        return f"{self.of}: {terms} = {total:,.0f}, over {self.allowed_by} = {self.allowed:,.0f}: {self.remedy}"


def problems(fleet: Fleet) -> Iterator[str]:
    """Yield each budget that is exceeded, with its sum."""
    for budget in (*_connections(fleet), *_sockets(fleet), *_memory(fleet)):
        if problem := budget.problem():
            yield f"budget of {problem}"


def _connections(fleet: Fleet) -> Iterator[Budget]:
    threads = fleet.web_threads + WEB_OTHER_THREADS
    yield Budget(
        "PostgreSQL's connections",
        {
            f"web {fleet.web} x {fleet.web_workers} processes x {threads} threads": fleet.web
            * fleet.web_workers
            * threads,
            f"ws {fleet.ws} x {WS_CONNECTIONS}": fleet.ws * WS_CONNECTIONS,
            f"relay {fleet.relays} x {RELAY_CONNECTIONS}": fleet.relays * RELAY_CONNECTIONS,
            **OTHER_CONNECTIONS,
        },
        fleet.database_connections,
        "max_connections",
        "lower TIDEWIRE_WEB_THREADS, TIDEWIRE_WEB_WORKERS or the most replicas, or raise max_connections",
    )
    yield Budget(
        "Redis's clients",
        {
            f"web {fleet.web} x {fleet.web_workers} processes x {REDIS_CONNECTIONS}": fleet.web
            * fleet.web_workers
            * REDIS_CONNECTIONS,
            f"ws {fleet.ws} x {REDIS_CONNECTIONS}": fleet.ws * REDIS_CONNECTIONS,
            f"relay {fleet.relays} x {REDIS_CONNECTIONS}": fleet.relays * REDIS_CONNECTIONS,
            "others": OTHER_REDIS_CLIENTS,
        },
        fleet.redis_clients,
        "maxclients",
        "lower the most replicas, or raise maxclients",
    )


def _sockets(fleet: Fleet) -> Iterator[Budget]:
    sockets = fleet.ws * fleet.connections_per_node
    there = fleet.nginx * fleet.nginx_workers * fleet.nginx_worker_connections
    yield Budget(
        "nginx's connections",
        {
            f"ws {fleet.ws} x {fleet.connections_per_node:,} sockets x {NGINX_CONNECTIONS_PER_SOCKET}": sockets
            * NGINX_CONNECTIONS_PER_SOCKET,
            "pages and closing": there * NGINX_HEADROOM,
        },
        there,
        f"nginx {fleet.nginx} x {fleet.nginx_workers} workers x worker_connections {fleet.nginx_worker_connections:,}",
        "lower TIDEWIRE_CONNECTIONS_PER_NODE or the most ws nodes, or raise worker_connections or the least nginx pods",
    )
    yield Budget(
        "the open files of an nginx worker",
        {"worker_connections": fleet.nginx_worker_connections, "files and logs": 256},
        fleet.nginx_worker_files,
        "worker_rlimit_nofile",
        "raise it",
    )
    if fleet.nginx_files is not None:
        yield Budget(
            "nginx's limit of open files",
            {"worker_rlimit_nofile": fleet.nginx_worker_files},
            fleet.nginx_files,
            "ulimits.nofile",
            "raise it",
        )
    if fleet.ws_files is not None:
        handshakes = min(_default("HANDSHAKES_PER_NODE"), fleet.connections_per_node)
        yield Budget(
            "the open files of a ws node",
            {"sockets": fleet.connections_per_node, "handshakes": handshakes, "others": OTHER_FILES},
            fleet.ws_files,
            "ulimits.nofile",
            "raise it, or lower TIDEWIRE_CONNECTIONS_PER_NODE",
        )


def _memory(fleet: Fleet) -> Iterator[Budget]:
    if fleet.ws_memory_bytes is not None:
        slow = fleet.connections_per_node * WS_SLOW_SHARE
        yield _mebibytes(
            "a ws node's memory",
            {
                "the process": WS_BASE_BYTES,
                f"{fleet.connections_per_node:,} sockets": fleet.connections_per_node * WS_SOCKET_BYTES,
                f"{slow:,.0f} full backlogs": slow * _default("MAX_BACKLOG_BYTES"),
            },
            fleet.ws_memory_bytes,
            "raise it, or lower TIDEWIRE_CONNECTIONS_PER_NODE",
        )
    if fleet.nginx_memory_bytes is not None:
        sockets = fleet.nginx_workers * fleet.nginx_worker_connections / NGINX_CONNECTIONS_PER_SOCKET
        yield _mebibytes(
            "an nginx pod's memory",
            {"the processes": NGINX_BASE_BYTES, f"{sockets:,.0f} sockets": sockets * NGINX_SOCKET_BYTES},
            fleet.nginx_memory_bytes,
            "raise it, or lower worker_connections",
        )
    if fleet.postgres_memory_bytes is not None:
        yield _mebibytes(
            "PostgreSQL's memory",
            {
                "shared": POSTGRES_BASE_BYTES,
                f"{fleet.database_connections} connections": fleet.database_connections * POSTGRES_CONNECTION_BYTES,
            },
            fleet.postgres_memory_bytes,
            "raise it, or lower max_connections",
        )
    if fleet.postgres_processes is not None:
        yield Budget(
            "PostgreSQL's processes",
            {"connections": fleet.database_connections, "its own": POSTGRES_OTHER_PROCESSES},
            fleet.postgres_processes,
            "limits.pids",
            "raise it, or lower max_connections",
        )
    if fleet.redis_memory_bytes is not None and fleet.redis_maxmemory_bytes is not None:
        yield _mebibytes(
            "Redis's memory",
            # Redis reads 0 as no limit.
            {"maxmemory": fleet.redis_maxmemory_bytes or math.inf},
            fleet.redis_memory_bytes * REDIS_MEMORY_SHARE,
            "raise the limit, or lower maxmemory",
        )


def _mebibytes(of: str, parts: dict[str, float], allowed: float, remedy: str) -> Budget:
    return Budget(
        f"{of} in MiB", {name: value / MIB for name, value in parts.items()}, allowed / MIB, "its limit", remedy
    )


def _default(name: str) -> int:
    """Return the default of a library's setting, for a project that does not set it."""
    return int(Settings.__dataclass_fields__[name].default)


def size(text: str) -> int:
    """Return `512Mi` (Kubernetes), `512M` (compose) or `192mb` (Redis) in bytes; each unit is a power of 1,024 here."""
    number = text.rstrip("BbIiKkMmGg")
    unit = text[len(number) :].lower().rstrip("b").rstrip("i")
    return int(number) * {"": 1, "k": KIB, "m": MIB, "g": KIB * MIB}[unit]


def nginx_numbers(text: str) -> dict[str, int]:
    """Return the numbers of workers, connections and files in nginx's main file."""
    words = text.replace(";", " ").replace("{", " ").split()
    names = {
        "worker_processes": "nginx_workers",
        "worker_connections": "nginx_worker_connections",
        "worker_rlimit_nofile": "nginx_worker_files",
    }
    numbers = {}
    for name, field in names.items():
        number = words[words.index(name) + 1] if name in words else "nothing"
        if not number.isdecimal():
            raise ValueError(f"nginx.conf must say a number for {name}, not {number}")
        numbers[field] = int(number)
    return numbers


def option(words: list[str], name: str, default: str) -> str:
    """Return the word after an option of a command, or after `name=`."""
    for number, word in enumerate(words):
        if word == name:
            return words[number + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return default
