"""Every error that the library raises on purpose."""


class TidewireError(Exception):
    """Root of the library's errors."""


class MalformedEvent(TidewireError, ValueError):
    """Text that is no event; the message names the field."""


class NoRedis(TidewireError):
    """Redis could not be reached in time; the operation may be tried again."""


class NotInTransaction(TidewireError):
    """A stream event was published outside the transaction of its action."""


class SessionUnknown(TidewireError):
    """A session could not be read, so it is not known whether it ended; the operation may be tried again."""


class SessionUnreadable(SessionUnknown):
    """No key of this process signed the session: a process with another SECRET_KEY may have saved it."""
