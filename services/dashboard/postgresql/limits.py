"""The limits on waits for PostgreSQL, as OPTIONS of Django's DATABASES. An option of the URL itself has priority."""

from collections.abc import Mapping
from typing import Any, Final

# Of this engine, not of the client library.
OPTION: Final = "limit_seconds"
# The server ends a statement itself. If it has not by then, it hangs.
MARGIN_SECONDS: Final = 1.0
# A peer that disappeared without a word (a host or a network that failed) is noticed on an idle connection within 20 s.
KEEPALIVES: Final = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2}


def options(given: Mapping[str, Any], *, connect_seconds: int, statement_seconds: float) -> dict[str, Any]:
    """Return the options of a connection; `given` are those of the URL. 0 seconds: a statement has no limit."""
    limited = {"connect_timeout": connect_seconds, **KEEPALIVES, **given}
    if statement_seconds:
        milliseconds = round(statement_seconds * 1000)
        limited["options"] = f"-c statement_timeout={milliseconds} {given.get('options', '')}".rstrip()
        limited.setdefault("tcp_user_timeout", milliseconds + round(MARGIN_SECONDS * 1000))
        limited[OPTION] = statement_seconds + MARGIN_SECONDS
    return limited
