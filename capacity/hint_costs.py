"""Redis's cost of a hint: a PUBLISH, and each node that receives it, here a bare socket to a Redis of its own."""

from __future__ import annotations

import asyncio
import socket
import statistics
import threading
from collections.abc import Sequence

from redis import Redis

from bench.paths import LOOPBACK
from bench.redis_server import RedisServer, redis_serving
from bench.server_processes import BenchError
from capacity.costs import CalibrateError
from testkit.process_usage import cpu_seconds

SUBSCRIBERS = (1, 8, 32)
EVENTS = 3000
EVENT_BYTES = 140


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the slope and the value at zero of the straight line that fits best."""
    slope, at_zero = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    return slope, at_zero


def hint_costs() -> tuple[float, float]:
    """Return the microseconds of Redis's CPU for each PUBLISH, and for each node that receives it."""
    slope, at_zero = line([(float(count), asyncio.run(_measured(count))) for count in SUBSCRIBERS])
    return at_zero, slope


async def _measured(subscribers: int) -> float:
    try:
        async with redis_serving(core=None) as server:
            return _published(server, subscribers)
    except BenchError as error:
        raise CalibrateError(str(error)) from error


def _published(server: RedisServer, subscribers: int) -> float:
    readers = [socket.create_connection((LOOPBACK, server.port)) for _ in range(subscribers)]
    try:
        for reader in readers:
            reader.sendall(b"SUBSCRIBE t\r\n")
            reader.recv(4096)
        drains = [threading.Thread(target=_drain, args=(reader,), daemon=True) for reader in readers]
        for each in drains:
            each.start()
        with Redis.from_url(server.url) as client:
            before, event = cpu_seconds([server.pid]), "x" * EVENT_BYTES
            for _ in range(EVENTS):
                client.publish("t", event)
            return (cpu_seconds([server.pid]) - before) / EVENTS * 1e6
    finally:
        for reader in readers:
            reader.shutdown(socket.SHUT_RDWR)
            reader.close()


def _drain(reader: socket.socket) -> None:
    try:
        while reader.recv(65536):
            pass
    except OSError:
        return
