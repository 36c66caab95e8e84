"""The system checks that ask Redis and the database."""

import asyncio
from datetime import UTC, datetime

import pytest

from tidewire import checks, conf
from tidewire.models import OutboxEvent
from tidewire.redis.keys import Keys
from tidewire.server.current_node import create_node

WAIT_SECONDS = 20.0


@pytest.fixture
def redis_options(redis_server, settings):
    def use(url: str) -> None:
        settings.TIDEWIRE = settings.TIDEWIRE | {"REDIS_URL": url, "REDIS_SENTINELS": ()}
        conf.settings.cache_clear()

    use(redis_server.url)
    yield use
    conf.settings.cache_clear()


def problem_ids():
    return [problem.id.removeprefix("tidewire.") for problem in checks._check_redis()]


def test_a_redis_of_its_own_is_good(redis_options, redis_server):
    assert problem_ids() == []
    assert redis_server.client.keys("*") == []


def test_a_redis_that_evicts_is_named(redis_options, redis_server):
    redis_server.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert problem_ids() == ["W011"]
    finally:
        redis_server.client.config_set("maxmemory-policy", "noeviction")


def test_a_user_without_writes_and_one_without_info_are_named(redis_options, redis_server):
    redis_server.client.execute_command(
        "ACL", "SETUSER", "reader", "on", ">s3cret", "~*", "&*", "+@read", "+ping", "+del"
    )
    redis_options(redis_server.url.replace("redis://", "redis://reader:s3cret@"))
    assert problem_ids() == ["E009", "E009", "E009", "I010"]


def test_a_user_of_the_channels_of_another_prefix_is_good(redis_options, redis_server, settings):
    settings.CHANNEL_LAYERS = {"default": settings.CHANNEL_LAYERS["default"] | {"CONFIG": {"prefix": "shop"}}}
    redis_server.client.execute_command(
        "ACL", "SETUSER", "shop", "on", ">s3cret", "~*", "resetchannels", "&shop__group__*", "+@all"
    )
    redis_options(redis_server.url.replace("redis://", "redis://shop:s3cret@"))
    assert problem_ids() == []


def test_a_redis_that_is_unavailable_is_named(redis_options):
    redis_options("redis://127.0.0.1:1/0")
    assert problem_ids() == ["W008"]


@pytest.mark.django_db
def test_rows_that_nothing_publishes_are_named():
    assert list(checks._check_outbox()) == []
    row = OutboxEvent.objects.create(event_id="6f1b0e6a-56d5-4f5b-8bb0-3c3a6f0f7d3e", topic="talk", type="x", body="{}")
    OutboxEvent.objects.filter(pk=row.pk).update(created_at=datetime(2020, 1, 1, tzinfo=UTC))
    [problem] = checks._check_outbox()
    assert problem.id == "tidewire.W013"


async def test_a_node_with_another_secret_key_is_named(redis_options, redis_server, settings):
    """A real node registers its name; the check runs with the key of another process."""
    settings.SECRET_KEY_FALLBACKS = []
    this_node = create_node(conf.settings())
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not await asyncio.to_thread(redis_server.client.zcard, Keys(this_node.settings.PREFIX).nodes):  # noqa: ASYNC110  # Redis reports no event
                await asyncio.sleep(0.05)
        assert await asyncio.to_thread(problem_ids) == []
        own, settings.SECRET_KEY = settings.SECRET_KEY, "of another process"
        [problem] = await asyncio.to_thread(lambda: list(checks._check_redis()))
        assert problem.id == "tidewire.W017"
        assert problem.msg.startswith("1 of 1 ws nodes")
        # During a rotation some processes have the old key still.
        settings.SECRET_KEY_FALLBACKS = [own]
        assert await asyncio.to_thread(problem_ids) == []
    finally:
        await this_node.stop()
