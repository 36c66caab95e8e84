"""Run as `python -m tests.reports.publishing`: measures the cost of publishing for a save, and the outbox's throughput.

Starts a PostgreSQL with fsync, a Redis, and a proxy that delays the replies of Redis, and measures in interleaved
rounds. `--before DIRECTORY` also measures the commit that is checked out there.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.local.layout import LOOPBACK, free_port
from tests.postgres import Postgres

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("publishing_worker.py")
SAVERS = 16
PROCESSES = 2
ROUND_TRIP_SECONDS = 0.0025
PAUSE_SECONDS = 0.2
WANTED_SHARE, WANTED_EVENTS = 0.85, 5000


class Proxy:
    """A TCP proxy that delays each chunk. The delays of both directions add up to one round trip."""

    def __init__(self, port: int, round_trip_seconds: float) -> None:
        self._to, self._delay = port, round_trip_seconds / 2
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection((LOOPBACK, self._to))
            for one, other in ((client, server), (server, client)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := one.recv(1 << 20):
                time.sleep(self._delay)
                other.sendall(chunk)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def redis() -> Iterator[int]:
    port = free_port()
    command = ["redis-server", "--bind", LOOPBACK, "--port", str(port), "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port)):
                break
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait()


class Measurement:
    """Workers of one checkout, with a database of their own."""

    def __init__(self, directory: Path, database: str, redis_port: int) -> None:
        self._env = {
            **os.environ,
            "PYTHONPATH": f"{directory / 'src'}:{directory / 'services'}:{directory}",
            "DJANGO_SETTINGS_MODULE": "web.settings",
            "TIDEWIRE_ENVIRONMENT": "development",
            "TIDEWIRE_DATABASE_URL": database,
            "TIDEWIRE_REDIS_URL": f"redis://{LOOPBACK}:{redis_port}/0",
            "TIDEWIRE_LOG_LEVEL": "INFO",
        }
        migrate = [sys.executable, str(directory / "services/web/manage.py"), "migrate", "-v0"]
        subprocess.run(migrate, env=self._env, cwd=directory, check=True, stdout=subprocess.DEVNULL)

    @contextlib.contextmanager
    def workers(self, *jobs: dict[str, object]) -> Iterator[list[subprocess.Popen[str]]]:
        """Start one process for each job, and yield them when all are ready."""
        with contextlib.ExitStack() as running:
            workers = []
            for job in jobs:
                command = [sys.executable, str(WORKER), json.dumps(job)]
                worker = subprocess.Popen(
                    command, env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
                workers.append(running.enter_context(worker))
            for worker in workers:
                assert worker.stdout.readline() == "ready\n"
            yield workers

    def savers(self, *, publishing: bool) -> contextlib.AbstractContextManager[list[subprocess.Popen[str]]]:
        threads = SAVERS // PROCESSES
        # The documents of two groups of savers differ, since both are open at once.
        base = SAVERS * publishing
        return self.workers(
            *(
                {"work": "save", "threads": threads, "first": base + number * threads, "publishing": publishing}
                for number in range(PROCESSES)
            )
        )


def work(workers: list[subprocess.Popen[str]], line: str) -> list[dict[str, float]]:
    """Let all workers work at once, and return what each measured."""
    for worker in workers:
        worker.stdin.write(f"{line}\n")
        worker.stdin.flush()
    return [json.loads(worker.stdout.readline()) for worker in workers]


def measure_saves(measured: dict[str, Measurement], rounds: int, seconds: float) -> None:
    """Print the share of saves that publishing leaves.

    The speed of a shared machine changes by half within a minute. All processes therefore stay open, and the
    variants alternate in slices of a second or two, in the order A B B A.
    """
    saves: dict[tuple[str, bool], list[float]] = {}
    with contextlib.ExitStack() as running:
        variants = {
            (name, publishing): running.enter_context(measurement.savers(publishing=publishing))
            for name, measurement in measured.items()
            for publishing in (False, True)
        }
        for number in range(-1, rounds):
            for variant in [*variants, *reversed(variants)]:
                count = sum(result["saves"] for result in work(variants[variant], str(seconds)))
                # The last events of a slice are published in the pause, and not in the slice of another variant.
                time.sleep(PAUSE_SECONDS)
                # The first round fills the caches.
                if number >= 0:
                    saves.setdefault(variant, []).append(count / seconds)
            print(f"round {number + 1} of {rounds}", end="\r", flush=True)
    for name in measured:
        nothing, publishing = saves[name, False], saves[name, True]
        low, high = interval(nothing, publishing)
        rates = f"{statistics.mean(publishing):.0f} of {statistics.mean(nothing):.0f} saves/s"
        share = sum(publishing) / sum(nothing)
        print(f"{name}: {rates}, {share:.3f} ({low:.3f} to {high:.3f}, 95 %; wanted: {WANTED_SHARE})")


def interval(nothing: list[float], publishing: list[float]) -> tuple[float, float]:
    """Return the bootstrapped 95 % interval of the share, over pairs of neighbouring slices."""
    pairs, chance = list(zip(nothing, publishing, strict=True)), random.Random(0)
    shares = []
    for _ in range(2000):
        sample = chance.choices(pairs, k=len(pairs))
        shares.append(sum(pair[1] for pair in sample) / sum(pair[0] for pair in sample))
    cuts = statistics.quantiles(shares, n=40)
    return cuts[0], cuts[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="a checkout of another commit")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--skip-saves", action="store_true")
    options = parser.parse_args()
    checkouts = {"now": ROOT} | ({"before": options.before} if options.before else {})
    with contextlib.ExitStack() as running:
        measured, far = {}, {}
        for name, directory in checkouts.items():
            port = running.enter_context(redis())
            url = running.enter_context(Postgres(fsync=True)).url
            measured[name] = Measurement(directory, url, port)
            far[name] = Measurement(directory, url, Proxy(port, ROUND_TRIP_SECONDS).port)
        if not options.skip_saves:
            measure_saves(measured, options.rounds, options.seconds)
        for name in checkouts:
            events = options.events if name == "now" else options.events // 20
            with far[name].workers({"work": "drain", "events": events}) as workers:
                [drained] = work(workers, "go")
            rate = events / drained["seconds"]
            cpu = f"{drained['cpu'] / events * 1e6:.0f} us of CPU each in the publisher's process"
            print(f"{name}: {rate:,.0f} events/s from outbox to Redis at 2.5 ms (wanted: {WANTED_EVENTS:,}), {cpu}")


if __name__ == "__main__":
    if shutil.which("redis-server") is None:
        sys.exit("there is no redis-server on this machine")
    main()
