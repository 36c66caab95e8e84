"""Measures a server: opens its sockets, sends messages one after the other, and a burst for their order."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import psutil

from tidewire.bench.clients import close_clients, open_clients
from tidewire.bench.deliveries import Deliveries, Faults
from tidewire.bench.errors import CannotMeasure
from tidewire.bench.server_process import HOST, ServerProcess, serving
from tidewire.bench.talk import Talk

# Messages of one socket on their way at once, so that their order can be wrong.
BURST = 20
# Until the memory of the handshakes is released.
SETTLE_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Load:
    """The clients, with their number and their messages."""

    path: str
    sockets: int
    messages: int
    message: str
    on_open: str
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Those of the messages, without the handshakes and the burst."""

    microseconds: float
    p50_ms: float
    p99_ms: float
    cpu_seconds: float
    # Cores in use by the clients, and by programs that are no part of the measurement.
    client_cores: float
    foreign_cores: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The result of a server in a round."""

    figures: Figures
    kilobytes: float
    faults: Faults
    audience: frozenset[int]
    is_echo: bool
    is_compressed: bool


async def measure(command: str, load: Load, audience: Collection[int] = ()) -> Measured:
    """Measure one server. A message is due to the sockets of `audience`, and to those that one of the first reaches.

    Raises `CannotMeasure` if the server does not start, refuses a socket or sends nothing.
    """
    async with serving(command) as server:
        deliveries = Deliveries(load.message, load.sockets)
        headers = {"Origin": f"http://{HOST}:{server.port}"} | dict(load.headers)
        url = f"ws://{HOST}:{server.port}{load.path}"
        clients = await open_clients(url, range(1), headers, deliveries.receive)
        # The first socket's memory is mostly that of modules which it imports.
        before = server.memory_bytes()
        clients += await open_clients(url, range(1, load.sockets), headers, deliveries.receive)
        await asyncio.sleep(SETTLE_SECONDS)
        kilobytes = (server.memory_bytes() - before) / 1024 / max(1, load.sockets - 1)
        talk = Talk(clients, deliveries)
        if load.on_open:
            talk.send_all(load.on_open)
        await talk.until_quiet()
        await talk.find_audience(audience)
        figures = await _figures(talk, load.messages, server)
        if deliveries.is_numbered:
            await talk.say(BURST)
        faults = await talk.faults()
        await close_clients(clients)
        return Measured(
            figures=figures,
            kilobytes=kilobytes,
            faults=faults,
            audience=talk.audience,
            is_echo=talk.is_echo,
            is_compressed=clients[0].is_compressed,
        )


async def _figures(talk: Talk, messages: int, server: ServerProcess) -> Figures:
    deliveries = talk.deliveries
    deliveries.waits.clear()
    frames, cpu, own, busy, began = (
        deliveries.frames,
        server.cpu_seconds(),
        time.process_time(),
        _busy_seconds(),
        time.monotonic(),
    )
    for _ in range(messages):
        await talk.say()
    seconds = time.monotonic() - began
    cpu = server.cpu_seconds() - cpu
    own = time.process_time() - own
    waits = sorted(deliveries.waits)
    if not waits:
        raise CannotMeasure("the sockets received no frame after the first messages")
    return Figures(
        microseconds=cpu * 1e6 / (deliveries.frames - frames),
        p50_ms=_percentile(waits, 50) * 1e3,
        p99_ms=_percentile(waits, 99) * 1e3,
        cpu_seconds=cpu,
        client_cores=own / seconds,
        foreign_cores=max(0.0, _busy_seconds() - busy - cpu - own) / seconds,
    )


def _percentile(ordered: Sequence[float], percent: float) -> float:
    """Return a percentile by nearest rank."""
    return ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1]


def _busy_seconds() -> float:
    """Return the time in which all cores together were busy."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))
