"""The layers of channels_redis, and the library's, have the behaviour that the hub needs."""

import pytest
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from tests.unit.tidewire.layer_suite import LayerSuite
from tidewire import layers
from tidewire.redis.hosts import redis_host


class TestLayersOfRedis(LayerSuite):
    @pytest.fixture(
        params=[RedisPubSubChannelLayer, RedisChannelLayer, layers.RedisChannelLayer],
        ids=["pubsub", "core", "tidewire"],
    )
    async def layer(self, request, redis_server):
        made = request.param(hosts=[redis_host(redis_server.url) | {"max_connections": 100, "socket_timeout": None}])
        yield made
        await made.flush()
        if hasattr(made, "close_pools"):
            await made.close_pools()
