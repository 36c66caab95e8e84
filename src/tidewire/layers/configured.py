"""The channel layer of the settings, which carries hints from publishers to nodes."""

from channels.layers import BaseChannelLayer, get_channel_layer
from django.core.exceptions import ImproperlyConfigured


def require_layer(name: str) -> BaseChannelLayer:
    """Return a channel layer.

    Args:
        name: Its name in CHANNEL_LAYERS: the setting CHANNEL_LAYER.

    Returns:
        The layer of this process.

    Raises:
        ImproperlyConfigured: There is no such layer, or it cannot be created. The message names the setting to change.

    Example:
        >>> from tidewire.conf import settings
        >>> from tidewire.layers import require_layer
        >>> layer = require_layer(settings().CHANNEL_LAYER)

    """
    example = '{"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [...]}}}'
    try:
        layer: BaseChannelLayer | None = get_channel_layer(name)
    except Exception as error:
        raise ImproperlyConfigured(
            f"settings.CHANNEL_LAYERS[{name!r}] cannot be made ({type(error).__name__}: {error}); "
            f"an example is {example}"
        ) from error
    if layer is None:
        raise ImproperlyConfigured(f"settings.CHANNEL_LAYERS has no {name!r}; an example is {example}")
    return layer
