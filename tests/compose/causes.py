"""The causes of the twelve incidents on a running compose project, and the alerts that each should bring."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.compose.conftest import ROOT, Compose
from tests.compose.inside import Inside

Break = Callable[[Compose], "Callable[[], object] | None"]

# The kernel and nginx hold some MiB for a client that does not read, before its node sees that it is slow.
LARGE_EVENTS = """
import time, uuid, django
django.setup()
from datetime import UTC, datetime
from dashboard.events import NotificationCreated
from django.db import transaction
from tidewire.publish import publish
for number in range(1500):
    event = NotificationCreated(
        id=uuid.uuid4(), notification_id=10_000_000 + number, actor="ada", verb="updated", slug="none",
        title="x" * 16_000, at=datetime.now(UTC),
    )
    with transaction.atomic():
        publish("notifications", event)
    time.sleep(0.04)
"""
FILL = """
import pathlib, redis
r = redis.Redis.from_url(pathlib.Path('/run/secrets/TIDEWIRE_REDIS_URL').read_text().strip())
try:
    for number in range(400):
        r.set(f'tidewire:fill:{number}', 'x' * 1000000)
    for number in range(400, 4000):
        r.set(f'tidewire:fill:{number}', 'x' * 20000)
except redis.exceptions.ResponseError as error:
    print(error)
"""
EMPTY = FILL.partition("try:")[0] + "for n in range(4000): r.delete(f'tidewire:fill:{n}')"
NO_SESSIONS = """
import django
django.setup()
from django.contrib.sessions.models import Session
print(Session.objects.all().delete())
"""


@dataclass(frozen=True)
class Incident:
    """`expected`: any of these is a right alert. `allowed`: neither right nor wrong. `noticed`: by users."""

    name: str
    cause: Break
    expected: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    noticed: bool = True
    broken_seconds: float = 90.0
    # Their sockets or pages do not come back, because their sessions are gone.
    returns: bool = True


def _pid(compose: Compose, service: str, number: int = 0) -> int:
    return int(compose.running(service)[number]["State"]["Pid"])


def _program(pid: int) -> int:
    """Return the process that serves: the child of an init, or the container's first process itself."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    first = Path(f"/proc/{pid}/comm").read_text().strip()
    return int(children[0]) if children and ("init" in first or "tini" in first) else pid


def _kill_ws(compose: Compose) -> None:
    os.kill(_program(_pid(compose, "ws")), signal.SIGKILL)


def _hang_ws(compose: Compose) -> Callable[[], object]:
    pid = _program(_pid(compose, "ws"))
    os.kill(pid, signal.SIGSTOP)

    def go_on() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    return go_on


def paused(service: str) -> Break:
    """Stop all processes of a service. Some engines refuse `docker pause`, and it stops `docker exec` too."""

    def pause(compose: Compose) -> Callable[[], object]:
        [container] = compose.running(service)
        top = subprocess.run(
            ["docker", "top", container["Id"], "-o", "pid"], capture_output=True, text=True, check=True
        )
        pids = [int(word) for word in top.stdout.split()[1:]]
        _send(pids, signal.SIGSTOP)
        return lambda: _send(pids, signal.SIGCONT)

    return pause


def _send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _fill_redis(compose: Compose) -> Callable[[], object]:
    compose("exec", "-T", "web", "python", "-c", FILL)
    return lambda: compose("exec", "-T", "web", "python", "-c", EMPTY)


def _stop_nginx(compose: Compose) -> Callable[[], object]:
    compose("stop", "nginx")
    return lambda: compose("start", "nginx")


def _storm(compose: Compose) -> None:
    """All sockets are lost at once: nginx's workers die, and its master starts others."""
    master = _pid(compose, "nginx")
    for child in Path(f"/proc/{master}/task/{master}/children").read_text().split():
        if Path(f"/proc/{child}/comm").read_text().strip() == "nginx":
            os.kill(int(child), signal.SIGKILL)


def _slow_crowd(compose: Compose) -> Callable[[], object]:
    """Thirty clients that never read while events flow."""
    cookie = Inside(compose).sessions("slow", tickets=True)["slow"]
    opened = []
    for _ in range(30):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", compose.port))
        lines = (
            f"GET /ws/notifications/ HTTP/1.1\r\nHost: 127.0.0.1:{compose.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            f"Origin: {compose.url}\r\nCookie: {cookie}\r\n\r\n"
        )
        client.sendall(lines.encode())
        opened.append(client)
    publisher = subprocess.Popen(
        ["docker", "compose", "-p", compose.project, "exec", "-T", "web", "python", "-c", LARGE_EVENTS],
        cwd=ROOT,
        env=compose.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def leave() -> None:
        publisher.kill()
        publisher.wait()
        for client in opened:
            client.close()

    return leave


def _rotate(compose: Compose) -> None:
    subprocess.run(
        ["make", "compose-rotate", "SECRET=redis"],
        cwd=ROOT,
        env={**compose.environment, "COMPOSE_PROJECT_NAME": compose.project},
        check=True,
        capture_output=True,
    )


def _no_sessions(compose: Compose) -> None:
    compose("exec", "-T", "web", "python", "-c", NO_SESSIONS)


def _fill_disk(compose: Compose) -> Callable[[], object]:
    filler = Path(compose.environment["TIDEWIRE_TEST_DISK"]) / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
            file.flush()
    return lambda: filler.unlink(missing_ok=True)


# Consequences, which an inhibition may hide in time or not.
_AFTER_REDIS = ("TidewireStale", "TidewireRedisErrors", "TidewireRedisReconnects", "TidewireScrapeMissing")
_AFTER_NODE = ("TidewireScrapeMissing", "TidewireReplicasMissing", "TidewireGhosts", "TidewireSocketsGone")
INCIDENTS = (
    Incident("ws-killed", _kill_ws, (), ("TidewireNodeLost", *_AFTER_NODE), noticed=False, broken_seconds=60),
    Incident("ws-hangs", _hang_ws, ("TidewireNodeLost", "TidewireSocketsGone", "TidewireScrapeMissing"), _AFTER_NODE),
    Incident("redis-hangs", paused("redis"), ("TidewireRedisDown", "TidewireStale"), _AFTER_REDIS),
    Incident(
        "postgres-hangs",
        paused("postgres"),
        ("TidewirePostgresDown", "TidewireSiteDown"),
        ("TidewireWebErrors", "TidewireSavesFail", "TidewireScrapeMissing"),
    ),
    Incident("relay-hangs", paused("relay"), ("TidewireScrapeMissing", "TidewireRelayStuck"), (), noticed=False),
    Incident(
        "redis-full", _fill_redis, ("TidewireRedisFull", "TidewireRedisMemory"), (*_AFTER_REDIS, "TidewireDropped")
    ),
    Incident("nginx-stopped", _stop_nginx, ("TidewireNginxDown", "TidewireSiteDown"), ("TidewireSocketsGone",)),
    Incident("storm", _storm, (), ("TidewireReconnectStorm", "TidewireAbnormalCloses"), noticed=False),
    Incident("slow-crowd", _slow_crowd, ("TidewireSlowConsumers",), ("TidewireAbnormalCloses",), noticed=False),
    Incident("rotation", _rotate, (), (), noticed=False),
    Incident(
        "sessions-gone",
        _no_sessions,
        ("TidewireSessionsMissing",),
        ("TidewireAuthenticationRefusals", "TidewireSocketsGone"),
        returns=False,
    ),
    Incident("disk-full", _fill_disk, ("TidewireDiskFull", "TidewireDiskLow"), ("TidewireSavesFail",)),
)
