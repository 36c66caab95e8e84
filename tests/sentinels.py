"""A Redis primary, its replica and three Sentinels on free ports, as processes of these tests' own."""

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
# A primary that is silent for so long is gone. As short as a busy machine allows.
DOWN_MILLISECONDS = 1000
FAILOVER_SECONDS = 30.0


class Sentinels:
    """`with` starts them all and stops them. `primary` and `replica` are ports, as the Sentinels see them at first."""

    def __init__(self, directory: Path, *, password: str = "") -> None:
        self._directory = directory
        self._password = password
        # Only for its search of free ports.
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
        """Start a Redis without a disk, as a replica where it says of which."""
        options = ["--requirepass", self._password, "--masterauth", self._password] if self._password else []
        if of is not None:
            options += ["--replicaof", LOOPBACK, str(of)]
        self._start(port, "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", *options)

    def kill(self, port: int) -> None:
        """As a machine that lost its power."""
        self._processes[port].kill()
        self._processes[port].wait()

    @contextlib.contextmanager
    def paused(self, port: int) -> Iterator[None]:
        """Stand still: connections stay open and nothing answers."""
        self._processes[port].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._processes[port].send_signal(signal.SIGCONT)

    def named(self) -> int:
        """The port of the primary that the first Sentinel names."""
        with self.client(self.sentinels[0]) as sentinel:
            # As redis-py discovers it. Its other two commands about one primary fail in version 6.
            return int(sentinel.sentinel_masters()[MASTER]["port"])

    def wait_for_replica(self) -> None:
        """Until the replica has all that was written."""
        with self.client(self.primary) as primary:
            primary.set("replicated", 1)
            self._until("the replica has it all", lambda: primary.wait(1, 500) == 1)

    def wait_for_failover(self) -> None:
        """Until the Sentinels name the replica, and it is one no more."""
        self._until("failover", lambda: self.named() == self.replica and self._role(self.replica)[0] == "master")

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _start_sentinel(self, port: int) -> None:
        # A Sentinel writes what it learns into its own file.
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
                said = sentinel.sentinel_masters()[MASTER]
            if (said["num-slaves"], said["num-other-sentinels"]) != (1, len(self.sentinels) - 1):
                return False
        return True

    def _until(self, what: str, true: Callable[[], bool]) -> None:
        end = time.monotonic() + FAILOVER_SECONDS
        while True:
            with contextlib.suppress(sync_redis.RedisError, OSError):
                if true():
                    return
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: not within {FAILOVER_SECONDS:.0f} s; see {self._directory}")
            time.sleep(0.05)
