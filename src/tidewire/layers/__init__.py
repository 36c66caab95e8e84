"""Channel layers: the one that the settings name, and a layer on Redis that any Channels project can use."""

from tidewire.layers.configured import require_layer
from tidewire.layers.redis_layer import RedisChannelLayer

__all__ = ["RedisChannelLayer", "require_layer"]
