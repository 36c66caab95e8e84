"""Random scripts that run with Redis: few of them, each with an empty Redis and a client of its own."""

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import HealthCheck, Phase, settings
from redis.asyncio import Redis

import tidewire.redis.clients

# The tests in memory run the same scripts and shrink them. Shrinking here would take minutes.
FEW_EXAMPLES = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def run_with_client(play: Callable[[Redis], Awaitable[None]]) -> None:
    """Run a script in an event loop of its own."""

    async def run() -> None:
        client = tidewire.redis.clients.client()
        try:
            await client.flushall()
            await play(client)
        finally:
            await tidewire.redis.clients.close()

    asyncio.run(run())
