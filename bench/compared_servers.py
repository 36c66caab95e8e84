"""The servers under test: the command, the sockets' paths and the way of events of each."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from bench import centrifugo
from bench.paths import DATABASE, HERE, LOOPBACK, NODE, ROOT, SESSIONS, TICKETS, VAR
from bench.server_processes import BenchError, raise_open_files
from deploy.local.layout import free_port
from deploy.local.system import find_program

BARE = "/ws/bare/"
AUTHENTICATED = "/ws/ticks/"
USERS = "/ws/users/"
CENTRIFUGO = "/connection/websocket"
OPEN_FILES = 20_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """A kind of server. `fanout_path` is the path that is measured: authenticated for tidewire, bare for the others."""

    name: str
    label: str
    command: Callable[[int], list[str]]
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    publisher: Literal["redis", "layer", "tidewire", "outbox", "http", "centrifugo", "emitter"]
    bare_path: str = BARE
    fanout_path: str = BARE
    fanout_cookies: Path | None = None
    django: bool = False
    socketio: bool = False
    centrifugo: bool = False
    missing: Callable[[], str | None] = lambda: None

    @property
    def user_cookies(self) -> Path:
        """The cookies of its users, as their pages would send them: with a ticket if the server has tickets."""
        return TICKETS if self.is_tidewire else SESSIONS

    @property
    def is_tidewire(self) -> bool:
        return self.publisher in ("tidewire", "outbox")

    def environment(self, redis_url: str, secret: str) -> dict[str, str]:
        """Return the environment of the server and of its publisher."""
        variables = {
            "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("src", "services", ".")),
            "BENCH_REDIS_URL": redis_url,
            "NODE_PATH": str(NODE / "node_modules"),
            "NODE_ENV": "production",
            **self.env,
        }
        if self.django:
            variables |= {"TIDEWIRE_SECRET_KEY": secret, "BENCH_DATABASE": str(DATABASE)}
        if self.centrifugo:
            variables |= centrifugo.environment(redis_url)
        if self.is_tidewire:
            variables |= tidewire_environment(redis_url, secret)
        return variables


def tidewire_environment(redis_url: str, secret: str) -> dict[str, str]:
    """Return production's settings, except those that need TLS or another machine."""
    return {
        "DJANGO_SETTINGS_MODULE": "bench.tidewire_settings",
        "TIDEWIRE_ENVIRONMENT": "production",
        "TIDEWIRE_SECRET_KEY": secret,
        "TIDEWIRE_ALLOWED_HOSTS": LOOPBACK,
        "TIDEWIRE_REDIS_URL": redis_url,
        "TIDEWIRE_DATABASE_URL": f"sqlite:///{DATABASE}",
        "TIDEWIRE_NODE_NAME": "bench",
        "TIDEWIRE_ADMIN_PORT": str(free_port()),
    }


def _python(*module: str) -> list[str]:
    return [sys.executable, "-m", *module]


def _daphne(name: str, label: str, layer: str, *options: str) -> Server:
    return Server(
        name=name,
        label=label,
        command=lambda port: _python(
            *("daphne", "-b", LOOPBACK, "-p", str(port), *options), "bench.stock_application:application"
        ),
        env={"DJANGO_SETTINGS_MODULE": "bench.stock_settings", "BENCH_LAYER": layer},
        publisher="layer",
        django=True,
    )


def _tidewire(name: str, label: str, application: str, publisher: Literal["tidewire", "outbox"] = "tidewire") -> Server:
    return Server(
        name=name,
        label=label,
        command=lambda port: _python(
            "tidewire", "-b", LOOPBACK, "-p", str(port), f"bench.tidewire_application:{application}"
        ),
        publisher=publisher,
        fanout_path=AUTHENTICATED,
        fanout_cookies=TICKETS,
        django=True,
    )


def _node(name: str, label: str, *arguments: str, script: str = "", **more: object) -> Server:
    options: dict[str, object] = {"publisher": "redis", **more}
    return Server(
        name=name,
        label=label,
        command=lambda port: ["node", str(HERE / f"{script or name}.js"), str(port), *arguments],
        missing=_no_node,
        **options,  # type: ignore[arg-type]  # each is checked by the dataclass that takes it
    )


def _no_node() -> str | None:
    return None if find_program("node") and find_program("npm") else "node and npm are not installed"


def _nchan_module() -> Path | None:
    nginx = find_program("nginx")
    if nginx is None:
        return None
    built = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=True, timeout=10).stderr
    built_with = re.search(r"--modules-path=(\S+)", built)
    module = Path(built_with[1] if built_with else "/usr/lib/nginx/modules") / "ngx_nchan_module.so"
    return module if module.exists() else None


def _no_nchan() -> str | None:
    return None if _nchan_module() else "nginx has no nchan module (Debian: apt-get install libnginx-mod-nchan)"


def _nchan(port: int) -> list[str]:
    directory = VAR / "nchan"
    directory.mkdir(parents=True, exist_ok=True)
    open_files = raise_open_files(OPEN_FILES)
    template = (HERE / "nchan.conf").read_text(encoding="utf-8")
    filled = template.partition("\n")[2].format(
        module=_nchan_module(),
        directory=directory,
        port=port,
        open_files=open_files,
        connections=open_files - 100,
        # As root, nginx would change to a user that must not write here.
        user="user root;" if os.geteuid() == 0 else "",
    )
    (directory / "nginx.conf").write_text(filled, encoding="utf-8")
    program = find_program("nginx")
    assert program is not None
    return [program, "-c", str(directory / "nginx.conf"), "-e", "stderr"]


SERVERS = (
    _daphne("daphne-core", "Daphne, channels_redis.core", "core"),
    _daphne("daphne-pubsub", "Daphne, channels_redis.pubsub", "pubsub"),
    # By default Daphne aborts handshakes after 5 s, and with them most of a storm. This server shows the cost of all.
    _daphne("daphne-patient", "the same, patient", "pubsub", "--websocket_connect_timeout", "600"),
    Server(
        name="uvicorn-pubsub",
        label="uvicorn, channels_redis.pubsub",
        command=lambda port: _python(
            *("uvicorn", "--host", LOOPBACK, "--port", str(port), "--log-level", "warning", "--backlog", "4096"),
            "bench.stock_application:application",
        ),
        env={"DJANGO_SETTINGS_MODULE": "bench.stock_settings", "BENCH_LAYER": "pubsub"},
        publisher="layer",
        django=True,
    ),
    _node("ws", "npm ws, Redis"),
    _node("ws-buffer", "npm ws, Redis, one Buffer for all", "buffer", script="ws"),
    _node(
        "socketio",
        "Socket.IO, Redis adapter",
        publisher="emitter",
        bare_path="/socket.io/?EIO=4&transport=websocket",
        fanout_path="/socket.io/?EIO=4&transport=websocket",
        socketio=True,
    ),
    Server(
        name="nchan",
        label="nginx, nchan",
        command=_nchan,
        publisher="http",
        missing=_no_nchan,
    ),
    Server(
        name="centrifugo",
        label="Centrifugo, Redis engine",
        command=centrifugo.command,
        publisher="centrifugo",
        bare_path=CENTRIFUGO,
        fanout_path=CENTRIFUGO,
        centrifugo=True,
        missing=centrifugo.missing,
    ),
    _tidewire("tidewire-send", "tidewire, plain ASGI send", "plain"),
    _tidewire("tidewire-outbox", "tidewire, by the outbox", "application", "outbox"),
    _tidewire("tidewire", "tidewire", "application"),
)


def find(name: str) -> Server:
    """Return the server of this name. Raises `BenchError` if there is none."""
    for server in SERVERS:
        if server.name == name:
            return server
    raise BenchError(f"no server {name!r}; there are {', '.join(server.name for server in SERVERS)}")
