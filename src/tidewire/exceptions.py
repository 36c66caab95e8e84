"""All exceptions that the library raises on purpose."""

import asyncio

from redis.exceptions import RedisError


class TidewireError(Exception):
    """Base class of the library's exceptions.

    Example:
        >>> from tidewire.events import decode_any
        >>> try:
        ...     decode_any("{}")
        ... except TidewireError as error:
        ...     print(type(error).__name__, error)
        MalformedEvent type: Field required

    """


class MalformedEvent(TidewireError, ValueError):
    """The text is not a valid event; the message names the field."""


class MalformedHint(TidewireError, ValueError):
    """A message of the channel layer is not a valid hint; the message names the topic and the field."""


class RedisUnavailable(TidewireError):
    """Redis could not be reached in time; the operation may be retried."""


class NotInTransaction(TidewireError):
    """A stream event was published outside the transaction of its action."""


class SessionUnknown(TidewireError):
    """A session could not be read, so its end can be neither confirmed nor excluded; the operation may be retried."""


class SessionUnreadable(SessionUnknown):
    """No key of this process signed the session: a process with another SECRET_KEY may have saved it."""


# Exceptions that a channel layer or Redis may raise while Redis is unavailable.
REDIS_UNAVAILABLE_ERRORS = (RedisUnavailable, RedisError, OSError, asyncio.TimeoutError)
