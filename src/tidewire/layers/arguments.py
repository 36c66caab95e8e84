"""Checks of the channel layer's arguments, which settings name in `CONFIG`. No I/O."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from redis.exceptions import RedisError

from tidewire.redis.hosts import pool

# Options of channels_redis that its layer on publish and subscribe accepts and ignores.
_UNUSED = {"expiry", "group_expiry", "channel_capacity"}


def check_arguments(
    *, hosts: Any, prefix: Any, capacity: Any, gap_message: Any, on_reconnect: Any, unused: Mapping[str, Any]
) -> None:
    """Raise `ImproperlyConfigured`, which names the argument, if one of them is invalid."""
    if unknown := sorted(unused.keys() - _UNUSED):
        raise ImproperlyConfigured(f'CHANNEL_LAYERS: there is no option "{unknown[0]}" in CONFIG')
    if isinstance(hosts, str):
        raise ImproperlyConfigured('CHANNEL_LAYERS: "hosts" must be a list of Redis hosts, even if there is only one')
    if not isinstance(capacity, int) or isinstance(capacity, bool) or capacity < 1:
        raise ImproperlyConfigured(f'CHANNEL_LAYERS: "capacity" must be a number of at least 1, not {capacity!r}')
    has_type = isinstance(gap_message, Mapping) and isinstance(gap_message.get("type"), str)
    if gap_message is not None and not has_type:
        raise ImproperlyConfigured('CHANNEL_LAYERS: "gap_message" must be a dict with a "type"')
    if not (on_reconnect is None or isinstance(on_reconnect, str) or callable(on_reconnect)):
        raise ImproperlyConfigured(
            f'CHANNEL_LAYERS: "on_reconnect" must be a function, or the type of a message, not {on_reconnect!r}'
        )
    if not isinstance(prefix, str):
        raise ImproperlyConfigured(f'CHANNEL_LAYERS: "prefix" must be a text, not {prefix!r}')


def check_options(host: Mapping[str, Any]) -> None:
    """Raise `ImproperlyConfigured` if redis-py does not accept the options of a host."""
    try:
        # Makes no connection yet: a wrong option would fail at the first message.
        pool(host).make_connection()  # type: ignore[no-untyped-call]  # redis-py has no types here
    except (TypeError, ValueError, RedisError) as error:
        raise ImproperlyConfigured(
            f"CHANNEL_LAYERS: redis-py cannot use the options of a host of Redis ({type(error).__name__}: {error})"
        ) from None
