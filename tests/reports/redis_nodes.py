"""Two nodes that share one address of Redis, and a page on each, which must show the right members and events."""

import asyncio
import time
from collections.abc import Callable
from contextlib import asynccontextmanager

from channels.layers import get_channel_layer

import tidewire.redis.clients
from tests.integration.tidewire.test_node import Cluster, names
from tests.unit.tidewire.fakes import FakeSocket
from tidewire import conf
from tidewire.presence import PresenceKey
from tidewire.redis.hosts import redis_host

LEASE_SECONDS = 6.0
GRACE_SECONDS = 1.0
TOUCH_SECONDS = 0.2
# A connected member must show again after a touch, a refill and a check of each hub. The rest is for a busy machine.
SHOWN_SECONDS = 3.0
# A ghost must be gone a second after the lease.
GONE_SECONDS = LEASE_SECONDS + 1.0
TIMEOUT_SECONDS = 30.0


def presence_key(name: str) -> PresenceKey:
    return PresenceKey("hall", "in", name)


class Hall:
    """Two nodes, the members on them, and a page on each node that shows the members."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.first, self.second = cluster.nodes
        self.pages = [cluster.watch(node) for node in cluster.nodes]
        self.talks = [cluster.listen(node) for node in cluster.nodes]
        self.present: dict[str, int] = {}

    def enter(self, *people: str) -> None:
        """Let members join, on the two nodes in turn."""
        for person in people:
            self.present[person] = number = len(self.present) % 2
            self.cluster.nodes[number].presence.join(presence_key(person))

    def leave(self, *people: str) -> None:
        for person in people:
            self.cluster.nodes[self.present.pop(person)].presence.leave(presence_key(person))

    def is_right(self) -> bool:
        return all(names(page) == set(self.present) for page in self.pages)

    async def wait_until_right(self) -> None:
        await until(self.is_right)

    async def heals(self, fault: str, *, within_seconds: float = GONE_SECONDS, timeout_seconds: float = 0.0) -> None:
        """Fail unless every page shows the right members in time and keeps showing them. Prints the measured times."""
        began = time.monotonic()
        missing_until = ghosts_until = 0.0
        right_since: float | None = None
        end = began + (timeout_seconds or within_seconds + 4.0)
        while time.monotonic() < end and (right_since is None or time.monotonic() - right_since < 2 * GRACE_SECONDS):
            await asyncio.sleep(0.02)
            now = time.monotonic() - began
            shown = [names(page) for page in self.pages]
            if any(set(self.present) - each for each in shown):
                missing_until = now
            if any(each - set(self.present) for each in shown):
                ghosts_until = now
            right_since = None if not self.is_right() else right_since or time.monotonic()
        seen = min((names(page) for page in self.pages), key=lambda each: len(each & set(self.present)))
        ghosts = len(set().union(*(names(page) for page in self.pages)) - set(self.present))
        healed = "never" if right_since is None else f"{right_since - began:.1f} s"
        print(  # noqa: T201  # the figures, for `-s`
            f"\n{fault}: {len(seen & set(self.present))} of {len(self.present)} members shown, {ghosts} ghosts;"
            f" right after {healed} (all shown after {missing_until:.1f} s, no ghost after {ghosts_until:.1f} s)"
        )
        assert self.is_right(), f"{sorted(seen)} in place of {sorted(self.present)}"
        assert missing_until <= max(SHOWN_SECONDS, timeout_seconds)
        assert ghosts_until <= within_seconds
        for page in (*self.pages, *self.talks):
            assert page.closed == []


def recovered(talk: FakeSocket) -> list[bool]:
    return [event["recovered"] for event in talk.events if event["type"] == "resumed"]


def place(talk: FakeSocket) -> str:
    """Return a client's position, computed as client.js does."""
    at = ""
    for event in talk.events:
        if event["type"] == "resumed":
            at = event["at"]
        elif "offset" in event:
            epoch = at.partition(":")[0].partition(".")[0]
            at = f"{epoch}.{event['mark']}:{event['offset']}" if "mark" in event else f"{epoch}:{event['offset']}"
    return at


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not true():  # noqa: ASYNC110  # the condition has no event to wait for
            await asyncio.sleep(0.02)


@asynccontextmanager
async def hall(settings, url: str, **options: object):
    """Yield nodes on this Redis, with the product's settings."""
    settings.TIDEWIRE = settings.TIDEWIRE | {
        "REDIS_URL": url,
        "LEASE_SECONDS": LEASE_SECONDS,
        "GRACE_SECONDS": GRACE_SECONDS,
        "TOUCH_SECONDS": TOUCH_SECONDS,
        "CHECK_SECONDS": 0.2,
        "COALESCE_SECONDS": 0.05,
        **options,
    }
    host = redis_host(url) | {"max_connections": 100, "socket_timeout": None}
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [host]}}
    }
    conf.settings.cache_clear()
    cluster = Cluster("ab")
    try:
        yield Hall(cluster)
    finally:
        for node in cluster.nodes:
            await node.stop()
        await get_channel_layer().flush()
        await tidewire.redis.clients.close()
        conf.settings.cache_clear()
