"""A Redis primary, its replica and three Sentinels on free ports, as processes of the tests."""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import redis as sync_redis

from deploy.local.layout import LOOPBACK, Ports

MASTER = "tide"
QUORUM = 2
# A primary that does not answer for this long is considered down. As short as a busy machine allows.
DOWN_MILLISECONDS = 1000
FAILOVER_SECONDS = 30.0


class Sentinels:
    """`with` starts and stops all processes. `primary` and `replica` are the ports of these roles at the start."""

    def __init__(self, directory: Path, *, password: str = "") -> None:
        self._directory = directory
        self._password = password
        # Used only to find free ports.
        ports = Ports.free(web=1, ws=3)
        self.primary, self.replica = ports.redis, ports.nginx
        self.sentinels = ports.ws
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(f"{LOOPBACK}:{port}" for port in self.sentinels)

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True)
        try:
            self.start_redis(self.primary)
            self.start_redis(self.replica, of=self.primary)
            self._until("the replica follows", lambda: self._role(self.replica)[3] == "connected")
            for port in self.sentinels:
                self._start_sentinel(port)
            self._until("the Sentinels know each other", self._know_each_other)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def client(self, port: int) -> sync_redis.Redis:
        password = self._password if port in (self.primary, self.replica) else None
        return sync_redis.Redis(LOOPBACK, port, password=password, decode_responses=True, socket_timeout=2)

    def start_redis(self, port: int, *, of: int | None = None) -> None:
        """Start a Redis without persistence. With `of` it is a replica of the server on that port."""
        options = ["--requirepass", self._password, "--masterauth", self._password] if self._password else []
        if of is not None:
            options += ["--replicaof", LOOPBACK, str(of)]
        self._start(port, "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", *options)

    def kill(self, port: int) -> None:
        """Kill the process, as a loss of power would."""
        self._processes[port].kill()
        self._processes[port].wait()

    @contextlib.contextmanager
    def paused(self, port: int) -> Iterator[None]:
        """Suspend the process: its connections stay open and receive no answer."""
        self._processes[port].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._processes[port].send_signal(signal.SIGCONT)

    def named(self) -> int:
        """Return the port of the primary according to the first Sentinel."""
        with self.client(self.sentinels[0]) as sentinel:
            # The command that redis-py's discovery uses. Its other two commands about one primary fail in version 6.
            return int(sentinel.sentinel_masters()[MASTER]["port"])

    def wait_for_replica(self) -> None:
        """Wait until the replica has received all writes."""
        with self.client(self.primary) as primary:
            primary.set("replicated", 1)
            self._until("the replica has it all", lambda: primary.wait(1, 500) == 1)

    def wait_for_failover(self) -> None:
        """Wait until the Sentinels name the replica as primary and it has that role."""
        self._until("failover", lambda: self.named() == self.replica and self._role(self.replica)[0] == "master")

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _start_sentinel(self, port: int) -> None:
        # A Sentinel rewrites its own configuration file.
        lines = [
            f"sentinel monitor {MASTER} {LOOPBACK} {self.primary} {QUORUM}",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_MILLISECONDS}",
            f"sentinel failover-timeout {MASTER} 5000",
            *([f"sentinel auth-pass {MASTER} {self._password}"] if self._password else []),
        ]
        configuration = self._directory / f"sentinel-{port}.conf"
        configuration.write_text("\n".join(lines) + "\n")
        self._start(port, "--sentinel", configuration=configuration)

    def _start(self, port: int, *options: str, configuration: Path | None = None) -> None:
        program = shutil.which("redis-server") or "redis-server"
        head = [program, *([str(configuration)] if configuration else [])]
        with (self._directory / f"{port}.log").open("ab") as log:
            self._processes[port] = subprocess.Popen(
                [*head, "--bind", LOOPBACK, "--port", str(port), "--dir", str(self._directory), *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._until(f"port {port} answers", lambda: bool(self._ping(port)))

    def _ping(self, port: int) -> object:
        with self.client(port) as server:
            return server.ping()

    def _role(self, port: int) -> list[object]:
        with self.client(port) as server:
            return list(server.execute_command("ROLE"))

    def _know_each_other(self) -> bool:
        for port in self.sentinels:
            with self.client(port) as sentinel:
                master = sentinel.sentinel_masters()[MASTER]
            if (master["num-slaves"], master["num-other-sentinels"]) != (1, len(self.sentinels) - 1):
                return False
        return True

    def _until(self, expectation: str, true: Callable[[], bool]) -> None:
        end = time.monotonic() + FAILOVER_SECONDS
        while True:
            with contextlib.suppress(sync_redis.RedisError, OSError):
                if true():
                    return
            if time.monotonic() > end:
                raise TimeoutError(f"{expectation}: not within {FAILOVER_SECONDS:.0f} s; see {self._directory}")
            time.sleep(0.05)
