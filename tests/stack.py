"""The real stack for tests: Redis, Gunicorn, the relay, Daphne and nginx on free ports in a directory of their own.

The processes are those of `make up` (deploy.local.processes), but unsupervised, so that a test can stop each by name.
"""

import fcntl
import functools
import http.cookiejar
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from deploy.local.config import write_configuration
from deploy.local.layout import LOOPBACK, ROOT, Layout, Ports
from deploy.local.processes import Process, processes
from deploy.local.ready import wait_until_ready
from deploy.local.system import NGINX, REDIS, missing, search_path, tail

# A stack starts in 3 s on two idle cores, and may need much longer on a busy machine.
READY_SECONDS = 60.0
STOP_SECONDS = 20.0
PREPARE_SECONDS = 300.0
# The users that the demo creates: see dashboard.management.commands.demo.
USERS = {"ada": "demo", "bob": "demo", "eve": "demo", "admin": "demo"}
# Cookie names without HTTPS: see dashboard.settings.
SESSION_COOKIE = "tidewire_session"
CSRF_COOKIE = "tidewire_csrf"
# All tests share one address, so its limits must not apply. Tests of limits pass their own.
NO_LIMITS = {
    "TIDEWIRE_PAGE_RATE": "5000r/s",
    "TIDEWIRE_LOGIN_RATE": "5000r/s",
    "TIDEWIRE_SOCKET_RATE": "5000r/s",
    "TIDEWIRE_SOCKETS_PER_ADDRESS": "20000",
}
# For stacks of a module's own, whose tests look at nothing that two Gunicorn workers of one service could do otherwise:
# each worker imports Django, for a second of CPU time. The shared stack has two, as in production.
ONE_WORKER = {"TIDEWIRE_WEB_WORKERS": "1"}
# Adds the programs that `make up` runs: those installed by wheels, and servers outside an ordinary user's PATH.
os.environ["PATH"] = search_path()


# Sessions of the prepared database. A stack with its own value for one of these settings cannot use them.
COOKIES = "cookies.json"
PREPARED_BY = frozenset({"TIDEWIRE_DATABASE_URL", "TIDEWIRE_SECRET_KEY"})


class StackError(Exception):
    """A process of the stack did not start or did not stop."""


@dataclass
class Running:
    """A process of the stack. `pid` changes with each start."""

    definition: Process
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def pid(self) -> int:
        if self.process is None:
            raise StackError(f"{self.name} was never started")
        return self.process.pid

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Node(Running):
    """A ws node, with its port for sockets and its port for health and metrics."""

    port: int = 0
    admin_port: int = 0


def why_not() -> str | None:
    """Return the reason if this machine cannot start a stack."""
    absent = missing((REDIS, NGINX))
    return f"needs {' and '.join(need.name for need in absent)}: see `make test`" if absent else None


class Stack:
    """Users, URLs and processes. Each process that it starts ends with `close`, or with the test run in any case."""

    users = USERS

    def __init__(self, var: Path, *, web: int = 1, ws: int = 2, limits: Mapping[str, str] = NO_LIMITS, **env: str):
        self.layout = Layout(ports=Ports.free(web=web, ws=ws), var=var)
        self._limits = limits
        self._has_prepared_sessions = PREPARED_BY.isdisjoint(env)
        # Settings of tidewire in the shell's environment must not affect the tests.
        base = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWIRE_")}
        self._env = self.layout.environment(base) | env
        # The kernel kills a process when the thread that started it ends, so one lasting thread starts all processes.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="stack")
        ports = self.layout.ports
        self.ws: list[Node] = []
        self.processes: dict[str, Running] = {}
        for definition in processes(self.layout):
            if definition.group == "ws":
                i = len(self.ws)
                self.ws.append(Node(definition, port=ports.ws[i], admin_port=ports.admin[i]))
                self.processes[definition.name] = self.ws[i]
            elif definition.group != "prometheus":
                self.processes[definition.name] = Running(definition)

    @property
    def url(self) -> str:
        return self.layout.url

    @property
    def ws_url(self) -> str:
        return f"ws://localhost:{self.layout.ports.nginx}"

    @property
    def redis_url(self) -> str:
        return self.layout.redis_url

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment that another process of this stack needs."""
        return self._env

    @property
    def web_urls(self) -> list[str]:
        """Return the URLs of the web processes, without nginx in front."""
        return [f"http://{LOOPBACK}:{port}" for port in self.layout.ports.web]

    def __enter__(self) -> Self:
        self.layout.make_directories()
        write_configuration(self.layout, self._limits)
        try:
            for name in self.processes:
                self._spawn(name)
            self._wait(list(self.processes))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def prepare(self) -> None:
        """Create a database with the demo's users and documents, and collect the static files."""
        self.layout.make_directories()
        self.run("-m", "deploy.local.prepare", timeout_seconds=PREPARE_SECONDS)

    def run(self, *arguments: str, timeout_seconds: float = 60.0) -> str:
        """Run Python in the stack's environment and return its output."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )
        if done.returncode:
            raise StackError(f"{arguments} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self, name: str) -> None:
        """Start a stopped process and wait until it is ready."""
        self._spawn(name)
        self._wait([name])

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the exit and return its code.

        A negative code is the signal that killed the process.
        """
        running = self.processes[name]
        if running.process is None:
            raise StackError(f"{name} was never started")
        running.process.send_signal(number)
        if not _ended(running.process):
            raise StackError(f"{name} ran on for {STOP_SECONDS:.0f} s after signal {number}")
        return running.process.returncode

    def start_ws(self, i: int) -> None:
        self.start(self.ws[i].name)

    def stop_ws(self, i: int, number: int = signal.SIGTERM) -> int:
        return self.stop(self.ws[i].name, number)

    def login(self, name: str) -> str:
        """Log in through the page, as a browser does, and return the Cookie header."""
        jar = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        browser.open(f"{self.url}/login/", timeout=10).close()
        token = next(cookie.value for cookie in jar if cookie.name == CSRF_COOKIE)
        fields = {"username": name, "password": self.users[name], "csrfmiddlewaretoken": token}
        browser.open(f"{self.url}/login/", urllib.parse.urlencode(fields).encode(), timeout=20).close()
        if not any(cookie.name == SESSION_COOKIE for cookie in jar):
            raise StackError(f"{name} could not log in")
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)

    @functools.cached_property
    def cookies(self) -> dict[str, str]:
        """Cookie headers of the demo's users, by name. Tests share these sessions and must not end them."""
        path = self.layout.var / COOKIES
        if self._has_prepared_sessions and path.exists():
            return dict(json.loads(path.read_text(encoding="utf-8")))
        return self.sessions(*self.users)

    def sessions(self, *names: str, tickets: bool = False) -> dict[str, str]:
        """Return Cookie headers by name, without requests to the page, for many users. Creates users that do not exist.

        `tickets` adds the ticket that a page sets for every user.
        """
        return dict(json.loads(self.run("-m", "tests.login_cookies", *(["--tickets"] if tickets else []), *names)))

    def log(self, name: str) -> str:
        """Return all output of a process, including earlier runs."""
        return (self.layout.log / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def last_words(self) -> str:
        """Return the end of every log, to read after a failure."""
        return "\n".join(f"--- {path.name}\n{tail(path, lines=40)}" for path in sorted(self.layout.log.iterdir()))

    def close(self) -> None:
        """Stop all processes, Redis last. Raises if one had to be killed, because every process must end on SIGTERM."""
        killed = []
        by_priority = sorted(self.processes.values(), key=lambda each: -each.definition.priority)
        for _priority, members in itertools.groupby(by_priority, key=lambda each: each.definition.priority):
            ending = [each.process for each in members if each.process is not None]
            for process in ending:
                process.terminate()
            killed += [process.args for process in ending if not _ended(process)]
        self._starter.shutdown()
        if killed:
            raise StackError(f"ran on for {STOP_SECONDS:.0f} s after SIGTERM: {killed}\n{self.last_words()}")

    def _spawn(self, name: str) -> None:
        running = self.processes[name]
        if running.runs:
            raise StackError(f"{name} runs already")
        running.process = self._starter.submit(self._popen, running.definition).result()

    def _popen(self, definition: Process) -> subprocess.Popen[bytes]:
        with (self.layout.log / f"{definition.name}.log").open("ab") as log:
            return subprocess.Popen(
                definition.command,
                cwd=ROOT,
                env=self._env | dict(definition.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Only pytest should receive Ctrl-C; it then stops these processes in order.
                start_new_session=True,
            )

    def _wait(self, names: list[str]) -> None:
        late = wait_until_ready(
            {name: self.processes[name].definition.ready for name in names},
            timeout_seconds=READY_SECONDS,
            give_up=lambda: any(not self.processes[name].runs for name in names),
        )
        ended = [name for name in names if not self.processes[name].runs]
        if late or ended:
            raise StackError(f"not ready: {late}, ended: {ended}\n{self.last_words()}")


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a process ended within the timeout. If not, it is killed."""
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
        return False
    return True


class StackFactory:
    """Makes stacks that start from one prepared database, because preparing takes longer than everything else."""

    def __init__(self, directory: Path, shared: Path | None = None) -> None:
        self._directory = directory
        # Shared by all processes that run tests.
        self._shared = shared or directory
        self._stacks: list[Stack] = []

    def __call__(self, *, web: int = 1, ws: int = 2, limits: Mapping[str, str] = NO_LIMITS, **env: str) -> Stack:
        """Return a stack that is not started yet: `with` starts and stops it."""
        stack = Stack(self._directory / f"stack-{len(self._stacks)}", web=web, ws=ws, limits=limits, **env)
        self._stacks.append(stack)
        self.furnish(stack.layout.var)
        return stack

    def furnish(self, var: Path) -> None:
        """Create a stack's directory with the prepared database and static files."""
        prepared = self._prepare()
        var.mkdir(parents=True)
        # A copy, since a test may collect the static files again, which removes each for a moment.
        shutil.copytree(prepared / "static", var / "static")
        for path in (*prepared.glob("tidewire.sqlite3*"), prepared / COOKIES):
            shutil.copy(path, var)

    def _prepare(self) -> Path:
        """Return the directory with both. The first process creates it, and others wait."""
        with (self._shared / "prepared.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            prepared = self._shared / "prepared"
            if not prepared.exists():
                preparing = Stack(self._shared / "preparing")
                preparing.prepare()
                cookies = json.dumps(preparing.sessions(*USERS))
                (preparing.layout.var / COOKIES).write_text(cookies, encoding="utf-8")
                preparing.layout.var.rename(prepared)
        return prepared

    @property
    def running(self) -> list[Stack]:
        return [stack for stack in self._stacks if any(each.runs for each in stack.processes.values())]
