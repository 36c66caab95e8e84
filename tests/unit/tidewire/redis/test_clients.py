"""Errors of the Redis client: one exception for callers, a counter for each kind, and the recovery after them."""

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

import tidewire.redis.clients
from tidewire import label_values, metrics
from tidewire.exceptions import RedisUnavailable
from tidewire.redis.clients import redis_client


@pytest.fixture
async def closed_after():
    """The loop's client, which connects to no server in these tests."""
    yield
    await tidewire.redis.clients.close()


def errors(kind: str) -> float:
    return metrics.REDIS_ERRORS.labels(kind)._value.get()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RedisTimeoutError(), "timeout"),
        (TimeoutError(), "timeout"),
        (RedisConnectionError(), "connection"),
        (ConnectionResetError(), "connection"),
        (ResponseError("OOM"), "other"),
    ],
)
async def test_an_error_is_counted_by_its_kind(closed_after, error, kind):
    """Every kind must exist from the start, so that the first error is an increase."""
    before = errors(kind)
    with pytest.raises(RedisUnavailable):
        async with redis_client():
            raise error
    assert errors(kind) == before + 1
    assert kind in label_values.REDIS_ERROR_KINDS


async def test_the_first_answer_after_errors_is_one_reconnect(closed_after):
    """However many calls fail before it, and however many succeed after it."""
    before = metrics.REDIS_RECONNECTS._value.get()
    for _ in range(3):
        with pytest.raises(RedisUnavailable):
            async with redis_client():
                raise RedisConnectionError
    for _ in range(3):
        async with redis_client():
            pass
    assert metrics.REDIS_RECONNECTS._value.get() == before + 1
