"""What a hint costs Redis: a PUBLISH, and each node that it goes to, which is a bare socket to a Redis of its own."""

from __future__ import annotations

import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from deploy.local.layout import LOOPBACK, Ports
from deploy.local.system import find_program
from loadtest.bench.accounting import cpu_seconds

SUBSCRIBERS = (1, 8, 32)
EVENTS = 3000
EVENT_BYTES = 140
READY_SECONDS = 10.0


class CalibrateError(Exception):
    """There is no Redis to measure."""


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope and value at zero of the straight line that fits best."""
    slope, at_zero = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    return slope, at_zero


def hint_costs() -> tuple[float, float]:
    """Microseconds of Redis's CPU for each PUBLISH, and for each node that it goes to."""
    slope, at_zero = line([(float(count), _measured(count)) for count in SUBSCRIBERS])
    return at_zero, slope


def _measured(subscribers: int) -> float:
    program = find_program("redis-server", "valkey-server")
    if program is None:
        raise CalibrateError("redis-server is not installed")
    port = Ports.free(web=0, ws=0).redis
    with tempfile.TemporaryDirectory() as directory:
        command = [program, "--bind", LOOPBACK, "--port", str(port), "--save", "", "--dir", directory]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
        try:
            return _published(process.pid, port, subscribers)
        finally:
            process.terminate()
            process.wait(READY_SECONDS)


def _published(pid: int, port: int, subscribers: int) -> float:
    with Redis(host=LOOPBACK, port=port) as client:
        _wait_for(client)
        readers = [socket.create_connection((LOOPBACK, port)) for _ in range(subscribers)]
        try:
            for reader in readers:
                reader.sendall(b"SUBSCRIBE t\r\n")
                reader.recv(4096)
            drains = [threading.Thread(target=_drain, args=(reader,), daemon=True) for reader in readers]
            for each in drains:
                each.start()
            before, event = cpu_seconds([pid]), "x" * EVENT_BYTES
            for _ in range(EVENTS):
                client.publish("t", event)
            return (cpu_seconds([pid]) - before) / EVENTS * 1e6
        finally:
            for reader in readers:
                reader.shutdown(socket.SHUT_RDWR)
                reader.close()


def _wait_for(client: Redis) -> None:
    until = time.monotonic() + READY_SECONDS
    while True:
        try:
            client.ping()
        except (OSError, RedisConnectionError) as error:
            if time.monotonic() > until:
                raise CalibrateError("redis-server did not start") from error
            time.sleep(0.05)
        else:
            return


def _drain(reader: socket.socket) -> None:
    try:
        while reader.recv(65536):
            pass
    except OSError:
        return
