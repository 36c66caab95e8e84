"""Django's engine for PostgreSQL, in which no wait for the server is without a limit.

A server that hangs keeps its connections open, and its kernel still acknowledges data, so that neither its own
`statement_timeout` nor TCP ends the wait. The client's limit does.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import psycopg
from django.db.backends.postgresql.base import DatabaseWrapper as DjangoWrapper
from psycopg import IsolationLevel, errors

from dashboard.postgresql import limits
from dashboard.postgresql.refusals import Refusals
from tidewire import metrics
from tidewire.publishing.circuit_breaker import CircuitBreaker

# Shorter than the wait for a connection, so that a failure after the beginning of an outage counts. On a busy machine a
# single connection or statement may take too long while PostgreSQL answers all others.
SILENT_SECONDS: Final = 2.0
# Of this process. While it is open, one thread at a time waits for the server, and the others fail at once.
SERVER: Final = CircuitBreaker(silent_seconds=SILENT_SECONDS)
REFUSALS: Final = Refusals()


class LimitedConnection(psycopg.Connection[Any]):
    """A connection that is closed if the server does not answer a statement within `limit_seconds` (None: no limit)."""

    limit_seconds: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server, as psycopg does for each statement and each end of a transaction."""
        if SERVER.is_open:
            self.close()
            raise psycopg.OperationalError("the server did not answer other connections, and is tried again soon")
        try:
            answer = super().wait(gen, interval, self.limit_seconds if timeout is None else timeout)
        except errors._WaitTimeout:  # noqa: SLF001 - the only name of the error that `timeout` is documented to raise
            # The answer could still arrive, so the connection cannot be used for another statement.
            self.close()
            _record("timeout")
            raise psycopg.OperationalError(f"no answer within {self.limit_seconds} s") from None
        except psycopg.OperationalError:
            if self.broken:
                metrics.DATABASE_ERRORS.labels("connection").inc()
            raise
        SERVER.record_success()
        return answer


class DatabaseWrapper(DjangoWrapper):
    """Connects with the limits that the settings have in OPTIONS: see `dashboard.postgresql.limits`."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> LimitedConnection:
        """Connect; during an outage one thread per interval tries it, and the others fail at once."""
        limit = conn_params.pop(limits.OPTION, 0) or None
        self.isolation_level = IsolationLevel.READ_COMMITTED
        while (connection := _connected(conn_params)) is None:
            pass
        SERVER.record_success()
        REFUSALS.end()
        connection.limit_seconds = limit
        return connection


def _connected(conn_params: dict[str, Any]) -> LimitedConnection | None:
    """Return a connection; None: it was refused at the beginning of an outage, and should be tried again."""
    if not SERVER.allow():
        raise psycopg.OperationalError("the server does not answer, and is tried again soon")
    try:
        with _recorded():
            return LimitedConnection.connect(**conn_params)
    except errors.ConnectionTimeout:
        raise
    except psycopg.OperationalError:
        if not REFUSALS.wait():
            raise
        return None


@contextlib.contextmanager
def _recorded() -> Iterator[None]:
    try:
        yield
    except errors.ConnectionTimeout:
        _record("timeout")
        raise
    except psycopg.OperationalError:
        # A refusal arrives at once, so the next request may try again.
        SERVER.record_success()
        metrics.DATABASE_ERRORS.labels("connection").inc()
        raise


def _record(kind: str) -> None:
    SERVER.record_failure()
    metrics.DATABASE_ERRORS.labels(kind).inc()
