"""The ports on loopback and the directories of a local stack, derived from a few variables."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
import random
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
# Below the systems' ports for outgoing connections, so that no connection can take a port before its server listens.
# Concurrent processes must each have a part of the range, as FREE_PORTS=20000-22000.
FREE_PORTS = (20000, 32000)
LAST_PORT = 65535
# Each base port has a range of a hundred.
MAX_INSTANCES = 99

_CHOSEN: collections.deque[int] = collections.deque(maxlen=500)

# In a path these mean something else to nginx, to supervisord or in PYTHONPATH, and none of them can be escaped there.
UNUSABLE = re.compile(r'["$:\n]| ;')

# The variable that moves each port, with its default, which must not be a standard service's.
PORT_VARIABLES = {
    "PORT": 18080,
    "PROMETHEUS_PORT": 18090,
    "WEB_PORT": 18100,
    "WS_PORT": 18200,
    "ADMIN_PORT": 18300,
    "REDIS_PORT": 18379,
    "RELAY_PORT": 18400,
}


class LayoutError(Exception):
    """A variable of `make up` has an impossible value."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ports:
    """The ports of a stack. `web`, `ws` and `admin` have a port for each process."""

    nginx: int
    redis: int
    prometheus: int
    # The relay serves only its metrics.
    relay: int
    web: tuple[int, ...]
    ws: tuple[int, ...]
    admin: tuple[int, ...]

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> Ports:
        base = {name: _number(variables, name, default, LAST_PORT) for name, default in PORT_VARIABLES.items()}
        web = _number(variables, "WEB", 1, MAX_INSTANCES)
        ws = _number(variables, "WS", 2, MAX_INSTANCES)
        ports = cls(
            nginx=base["PORT"],
            redis=base["REDIS_PORT"],
            prometheus=base["PROMETHEUS_PORT"],
            relay=base["RELAY_PORT"],
            web=tuple(base["WEB_PORT"] + i for i in range(web)),
            ws=tuple(base["WS_PORT"] + i for i in range(ws)),
            admin=tuple(base["ADMIN_PORT"] + i for i in range(ws)),
        )
        ports.check()
        return ports

    @classmethod
    def free(cls, *, web: int, ws: int) -> Ports:
        """Return a layout of free ports, from `free_ports`."""
        free = free_ports()
        return cls(
            nginx=next(free),
            redis=next(free),
            prometheus=next(free),
            relay=next(free),
            web=tuple(itertools.islice(free, web)),
            ws=tuple(itertools.islice(free, ws)),
            admin=tuple(itertools.islice(free, ws)),
        )

    def named(self) -> Iterator[tuple[str, str, int]]:
        """Yield every port as (process, variable that moves it, number)."""
        yield "nginx", "PORT", self.nginx
        yield "redis", "REDIS_PORT", self.redis
        yield "prometheus", "PROMETHEUS_PORT", self.prometheus
        yield "the metrics of relay", "RELAY_PORT", self.relay
        yield from ((f"web-{i}", "WEB_PORT", port) for i, port in enumerate(self.web))
        yield from ((f"ws-{i}", "WS_PORT", port) for i, port in enumerate(self.ws))
        yield from ((f"the admin port of ws-{i}", "ADMIN_PORT", port) for i, port in enumerate(self.admin))

    def check(self) -> None:
        """Raise `LayoutError` if two processes have the same port, or one has a port that does not exist."""
        seen: dict[int, tuple[str, str]] = {}
        for process, variable, port in self.named():
            if port > LAST_PORT:
                raise LayoutError(f"{process} would need port {port}, and the last is {LAST_PORT}: lower {variable}")
            other, others_variable = seen.setdefault(port, (process, variable))
            if other != process:
                raise LayoutError(f"{other} and {process} both have port {port}: move {others_variable} or {variable}")

    def taken(self) -> list[str]:
        """Return a line for each port on which this user cannot listen."""
        return [
            f"port {port} for {process} {reason}; move it with {variable}: make up {variable}={_another(port)}"
            for process, variable, port in self.named()
            if (reason := _refusal(port))
        ]


def free_port() -> int:
    """Return a port that no process listens on at this moment."""
    return next(free_ports())


def free_ports() -> Iterator[int]:
    """Yield free ports in random order, so that concurrent test runs seldom choose the same.

    The last ones that this process chose come last, because their servers may not listen yet.
    """
    first, last = free_range()
    for port in sorted(random.sample(range(first, last), last - first), key=set(_CHOSEN).__contains__):
        if not is_taken(port):
            _CHOSEN.append(port)
            yield port


def free_range() -> tuple[int, int]:
    """Return the range of free ports: its first, and the end after its last."""
    variable = os.environ.get("FREE_PORTS")
    if not variable:
        return FREE_PORTS
    first, last = map(int, variable.split("-"))
    return first, last


def is_taken(port: int) -> bool:
    return bool(_refusal(port))


def _refusal(port: int) -> str:
    with socket.socket() as probe:
        # As servers do: a port with only closed connections in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError:
            return "is only for root"
        except OSError:
            return "is taken"
    return ""


def _another(port: int) -> int:
    # 80 becomes 18080.
    return port + 18000 if port < 1024 else port + 1000 if port + 1000 <= LAST_PORT else port - 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    ports: Ports
    # All files that the stack writes. Of these, a new start needs only the database.
    var: Path = ROOT / "var"

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> Layout:
        """Raises `LayoutError` if a variable cannot be used, or the name of a directory."""
        var = Path(variables.get("VAR_DIR") or ROOT / "var").resolve()
        for path in (ROOT, var):
            if unusable := UNUSABLE.search(str(path)):
                raise LayoutError(
                    f"{path} has {unusable[0]!r} in its name, which nginx or supervisord cannot use: rename it"
                )
        return cls(ports=Ports.from_variables(variables), var=var)

    @property
    def run(self) -> Path:
        return self.var / "run"

    @property
    def log(self) -> Path:
        return self.var / "log"

    @property
    def static(self) -> Path:
        return self.var / "static"

    @property
    def load_targets(self) -> Path:
        """The file in which a running load test lists its ports for Prometheus."""
        return self.run / "load-targets.json"

    @property
    def url(self) -> str:
        return f"http://localhost:{self.ports.nginx}"

    @property
    def redis_url(self) -> str:
        return f"redis://{LOOPBACK}:{self.ports.redis}/0"

    def make_directories(self) -> None:
        for directory in (self.run / "nginx", self.run / "redis", self.run / "prometheus", self.log, self.static):
            directory.mkdir(parents=True, exist_ok=True)

    def environment(self, base: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the environment of every process of the stack: `base` and the settings of this layout."""
        return {
            **base,
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT / "services"))),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "web.settings",
            "TIDEWIRE_ENVIRONMENT": "development",
            "TIDEWIRE_REDIS_URL": self.redis_url,
            "TIDEWIRE_DATABASE_URL": f"sqlite:///{quote(str(self.var / 'tidewire.sqlite3'))}",
            "TIDEWIRE_STATIC_ROOT": str(self.static),
            # Short, because Ctrl-C waits for the drain.
            "TIDEWIRE_WS_DRAIN_SECONDS": "2",
        }


def _number(variables: Mapping[str, str], name: str, default: int, greatest: int) -> int:
    text = variables.get(name) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= greatest:
        raise LayoutError(f"{name}={text}: needs a number from 1 to {greatest}")
    return int(text)
