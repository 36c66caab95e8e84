"""The processes of a stack, defined once: `make up` starts them under the supervisor, tests start them directly."""

from __future__ import annotations

import dataclasses
import functools
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from deploy.local.layout import LOOPBACK, ROOT, Layout
from deploy.local.system import find_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Process:
    name: str
    # Processes of one group are stopped together, and the groups one after another.
    group: str
    command: Sequence[str]
    # Processes start from low to high priority, and stop from high to low.
    priority: int
    # A URL: http:// must answer 200, redis:// must answer PONG; if empty, a running process is ready.
    ready: str = ""
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # The process is killed after this time.
    stop_seconds: int = 10


def processes(layout: Layout) -> list[Process]:
    """Return all processes in order of start. Sockets drain first; Redis must stop last, because all others use it."""
    ports = layout.ports
    started = [
        _redis(layout),
        _relay(layout),
        *(_web(layout, i) for i in range(len(ports.web))),
        _nginx(layout),
        *(_ws(layout, i) for i in range(len(ports.ws))),
    ]
    if find_program("prometheus"):
        started.append(_prometheus(layout))
    return [dataclasses.replace(each, command=[*tie_to_parent(), *each.command]) for each in started]


def _redis(layout: Layout) -> Process:
    return Process(
        name="redis",
        group="redis",
        priority=10,
        # No persistence: data in Redis is derived or short-lived, so the data of an earlier run would be stale.
        command=[
            *(find_program("redis-server", "valkey-server") or "redis-server",),
            *("--bind", LOOPBACK, "--port", str(layout.ports.redis)),
            *("--save", "", "--appendonly", "no", "--dir", str(layout.run / "redis")),
        ],
        ready=layout.redis_url,
    )


def _relay(layout: Layout) -> Process:
    metrics = f"{LOOPBACK}:{layout.ports.relay}"
    return Process(
        name="relay",
        group="relay",
        priority=20,
        command=[sys.executable, str(ROOT / "services" / "web" / "manage.py"), "relay", f"--metrics={metrics}"],
        environment={"DJANGO_SETTINGS_MODULE": "web.settings"},
        ready=f"http://{metrics}/metrics",
    )


def _web(layout: Layout, i: int) -> Process:
    bind = f"{LOOPBACK}:{layout.ports.web[i]}"
    return Process(
        name=f"web-{i}",
        group="web",
        priority=30,
        command=[
            *(sys.executable, "-m", "gunicorn"),
            *("-c", str(ROOT / "services" / "web" / "gunicorn.conf.py"), "web.wsgi:application"),
        ],
        environment={
            "DJANGO_SETTINGS_MODULE": "web.settings",
            "TIDEWIRE_WEB_BIND": bind,
            "PROMETHEUS_MULTIPROC_DIR": str(layout.run / f"prometheus-web-{i}"),
        },
        ready=f"http://{bind}/readyz",
    )


def _nginx(layout: Layout) -> Process:
    return Process(
        name="nginx",
        group="nginx",
        priority=40,
        command=[
            *(find_program("nginx") or "nginx", "-c", str(layout.run / "nginx" / "nginx.conf")),
            # By default nginx opens the log of its build, which only root may write, before it reads its
            # configuration.
            *("-e", str(layout.log / "nginx-error.log"), "-p", str(layout.run / "nginx")),
        ],
        ready=f"http://{LOOPBACK}:{layout.ports.nginx}/login/",
    )


def _ws(layout: Layout, i: int) -> Process:
    admin_port = layout.ports.admin[i]
    return Process(
        name=f"ws-{i}",
        group="ws",
        priority=50,
        command=[
            *(sys.executable, "-m", "tidewire", "ws.asgi:application"),
            *("-b", LOOPBACK, "-p", str(layout.ports.ws[i])),
        ],
        environment={
            "DJANGO_SETTINGS_MODULE": "ws.settings",
            "TIDEWIRE_NODE_NAME": f"ws-{i}",
            "TIDEWIRE_ADMIN_PORT": str(admin_port),
        },
        ready=f"http://{LOOPBACK}:{admin_port}/readyz",
    )


def _prometheus(layout: Layout) -> Process:
    return Process(
        name="prometheus",
        group="prometheus",
        priority=60,
        command=[
            *(find_program("prometheus") or "prometheus",),
            *(f"--config.file={layout.run / 'prometheus.yml'}", f"--storage.tsdb.path={layout.run / 'prometheus'}"),
            *(f"--web.listen-address={LOOPBACK}:{layout.ports.prometheus}", "--storage.tsdb.retention.time=1d"),
        ],
        ready=f"http://{LOOPBACK}:{layout.ports.prometheus}/-/ready",
    )


@functools.cache
def tie_to_parent() -> tuple[str, ...]:
    """Return a prefix by which Linux stops a process when its parent ends, even by kill -9; empty if unavailable."""
    setpriv = shutil.which("setpriv")
    if not setpriv:
        return ()
    prefix = (setpriv, "--pdeathsig", "TERM", "--")
    known = subprocess.run([*prefix, "true"], capture_output=True, check=False, timeout=10).returncode == 0
    return prefix if known else ()
