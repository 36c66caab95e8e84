"""A Redis server that is too old ends the start of a ws process with a one-line error."""

import json

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.contract.test_start import ended, free_port, started
from tidewire import versions
from tidewire.redis.clients import require_version


async def test_this_machine_s_redis_is_new_enough(redis):
    await require_version()


async def test_a_redis_that_is_too_old_is_refused(redis, monkeypatch):
    """The minimum is above any existing version. The server's version is read from its real reply."""
    monkeypatch.setattr(versions, "REDIS_SERVER", "99.0")
    with pytest.raises(ImproperlyConfigured, match=r"the Redis server is \d+\.\d+.*needs Redis 99\.0 or newer"):
        await require_version()


def test_a_redis_that_is_too_old_ends_the_start(redis_server):
    port = free_port()
    document_text = json.dumps({"REDIS_URL": redis_server.url})
    done = started(port, CONTRACT_SETTINGS=document_text, CONTRACT_OLDEST_REDIS="99.0")
    ended(done, port, "the Redis server is", "needs Redis 99.0 or newer")


async def test_a_redis_that_is_unavailable_may_still_come(redis_server, redis):
    """The library must tolerate an outage, also at its start."""
    redis_server.stop()
    await require_version()


async def test_a_redis_that_does_not_say_is_tried(redis_server, redis):
    """An administrator may have forbidden HELLO."""
    redis_server.client.acl_setuser("default", enabled=True, nopass=True, commands=["-hello"])
    try:
        await require_version()
    finally:
        redis_server.client.acl_setuser("default", enabled=True, nopass=True, commands=["+hello"])
