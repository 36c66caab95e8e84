"""Run as `python -m tests.reports.publishing`: measures the cost of publishing for a save, and the outbox's throughput.

Starts a PostgreSQL with fsync, a Redis, and a proxy that delays the replies of Redis, and measures in interleaved
rounds. `--before DIRECTORY` also measures the commit that is checked out there.
"""

import argparse
import contextlib
import json
import os
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
            for source, target in ((client, server), (server, client)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(1 << 20):
                time.sleep(self._delay)
                target.sendall(chunk)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


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

    def run(self, *jobs: dict[str, object]) -> list[dict[str, float]]:
        workers = [
            subprocess.Popen(
                [sys.executable, str(WORKER), json.dumps(job)],
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for job in jobs
        ]
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        return [json.loads(worker.communicate()[0]) for worker in workers]


def saves_per_second(measured: Measurement, seconds: float, *, publishing: bool) -> float:
    threads = SAVERS // PROCESSES
    jobs = [
        {"work": "save", "threads": threads, "seconds": seconds, "first": number * threads, "publishing": publishing}
        for number in range(PROCESSES)
    ]
    return sum(result["saves"] for result in measured.run(*jobs)) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="a checkout of another commit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
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
            rates: dict[tuple[str, bool], list[float]] = {}
            for number in range(options.rounds):
                for name in checkouts:
                    for publishing in (False, True):
                        rate = saves_per_second(measured[name], options.seconds, publishing=publishing)
                        rates.setdefault((name, publishing), []).append(rate)
                        load = "publishing" if publishing else "publishing nothing"
                        print(f"round {number + 1}, {name}, {load}: {rate:.0f} saves/s", flush=True)
            for name in checkouts:
                share = statistics.mean(rates[name, True]) / statistics.mean(rates[name, False])
                print(f"{name}: {share:.3f} of the application that publishes nothing (wanted: {WANTED_SHARE})")
        for name in checkouts:
            events = options.events if name == "now" else options.events // 20
            [drained] = far[name].run({"work": "drain", "events": events})
            rate = events / drained["seconds"]
            cpu = f"{drained['cpu'] / events * 1e6:.0f} us of CPU each in the publisher's process"
            print(f"{name}: {rate:,.0f} events/s from outbox to Redis at 2.5 ms (wanted: {WANTED_EVENTS:,}), {cpu}")


if __name__ == "__main__":
    if shutil.which("redis-server") is None:
        sys.exit("there is no redis-server on this machine")
    main()
