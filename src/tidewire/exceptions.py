"""Every error that the library raises on purpose."""


class TidewireError(Exception):
    """Root of the library's errors."""


class MalformedEvent(TidewireError, ValueError):
    """Text that is no event; the message names the field."""


class NoRedis(TidewireError):
    """Redis could not be reached in time; the operation may be tried again."""


class NotInTransaction(TidewireError):
    """A stream event was published outside the transaction of its action."""
