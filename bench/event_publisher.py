"""Publishes events: `python -m bench.event_publisher KIND` reads JSON lines, and publishes event after event.

All kinds of server have the same publisher, so that `t` is set at the same moment for all: just before publishing.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

Publish = Callable[[int, int], Awaitable[None]]

GROUP = "bench"
# In the environment, because all users of the machine can see a child's arguments.
REDIS_URL = "BENCH_REDIS_URL"
HTTP_PORT = "BENCH_HTTP_PORT"


def padded(n: int, size: int, *, compact: bool, **more: Any) -> dict[str, Any]:
    """Return an event with a JSON text of `size` characters as this kind of server writes it, or unpadded if longer."""
    event: dict[str, Any] = {**more, "n": n, "t": time.monotonic_ns(), "pad": ""}
    text = json.dumps(event, separators=(",", ":") if compact else None)
    event["pad"] = "x" * max(size - len(text), 0)
    return event


def to_redis() -> Publish:
    from redis.asyncio import Redis

    redis = Redis.from_url(os.environ[REDIS_URL])

    async def publish(n: int, size: int) -> None:
        await redis.publish(GROUP, json.dumps(padded(n, size, compact=True, type="tick"), separators=(",", ":")))

    return publish


def to_layer() -> Publish:
    import django
    from channels.layers import get_channel_layer

    django.setup()
    layer = get_channel_layer()

    async def publish(n: int, size: int) -> None:
        await layer.group_send(GROUP, padded(n, size, compact=False, type="tick"))

    return publish


def to_tidewire() -> Publish:
    import django

    django.setup()
    from bench.tick_events import publish_tick

    return publish_tick


def to_outbox() -> Publish:
    """Return the product's way: a transaction, its commit, and the publisher of this process."""
    import django

    django.setup()
    from bench.tick_events import commit_tick

    return commit_tick


def to_centrifugo() -> Publish:
    from bench.centrifugo import API_KEY, CHANNEL

    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ[HTTP_PORT]), timeout=10)
    headers = {"X-API-Key": API_KEY, "Content-Type": "application/json"}
    around = len(json.dumps({"push": {"channel": CHANNEL, "pub": {"data": None, "offset": 0}}}, separators=(",", ":")))

    async def publish(n: int, size: int) -> None:
        # The frame has the event within a push, which also has an offset: all of it must have `size` characters.
        data = padded(n, size - around + len("null0") - len(str(n + 1)), compact=True, type="tick")
        body = json.dumps({"channel": CHANNEL, "data": data}, separators=(",", ":"))
        connection.request("POST", "/api/publish", body, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status >= 300 or b'"error"' in answer:
            raise RuntimeError(f"publishing was answered with {response.status}: {answer[:200]!r}")

    return publish


def to_http() -> Publish:
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ[HTTP_PORT]), timeout=10)

    async def publish(n: int, size: int) -> None:
        event = padded(n, size, compact=True, type="tick")
        connection.request("POST", "/publish", json.dumps(event, separators=(",", ":")))
        response = connection.getresponse()
        response.read()
        if response.status >= 300:
            raise RuntimeError(f"publishing was answered with {response.status}")

    return publish


KINDS: dict[str, Callable[[], Publish]] = {
    "redis": to_redis,
    "layer": to_layer,
    "tidewire": to_tidewire,
    "outbox": to_outbox,
    "centrifugo": to_centrifugo,
    "http": to_http,
}


async def main(kind: str) -> None:
    # Answers alone go to standard output; the log, which the product writes there, goes to that of errors.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    publish = KINDS[kind]()
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        started = time.monotonic()
        for n in range(command["first"], command["first"] + command["count"]):
            await publish(n, command["bytes"])
        print(
            json.dumps({"published": command["count"], "seconds": time.monotonic() - started}), file=answers, flush=True
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
