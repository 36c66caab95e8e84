"""Pruning: deletes expired data in small batches. The relay runs it once an hour.

A project can register functions for tables of its own, in the `ready` of its application.
"""

import logging
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.db.models import QuerySet

from tidewire.exceptions import RedisUnavailable
from tidewire.presence.redis import redis_presence
from tidewire.publishing import sequencing
from tidewire.publishing.background import background

logger = logging.getLogger(__name__)

# Number of rows per statement: other transactions wait for its locks for milliseconds only.
BATCH = 1000
# Timeout for Redis; the next hour continues.
REDIS_SECONDS = 30.0

_pruners: dict[str, Callable[[], object]] = {}


def register(name: str, prune: Callable[[], object]) -> None:
    """Register a function to call once an hour.

    Args:
        name: Name of the data for the log. A second registration of a name replaces the first.
        prune: Deletes the expired data. An exception is logged, and the function is called again in the next hour.

    Example:
        >>> from django.contrib.sessions.models import Session
        >>> from django.utils import timezone
        >>> def prune_sessions():
        ...     delete_batches(Session.objects.filter(expire_date__lt=timezone.now()))
        >>> register("sessions", prune_sessions)

    """
    _pruners[name] = prune


def delete_batches(rows: QuerySet[Any]) -> int:
    """Delete all rows of a query, at most 1,000 per statement.

    Args:
        rows: The rows to delete, without a limit or an order.

    Returns:
        The number of deleted rows, with the rows of other tables that Django deletes with them.

    Example:
        >>> from django.contrib.sessions.models import Session
        >>> delete_batches(Session.objects.all())
        0

    """
    deleted = 0
    while keys := list(rows.order_by().values_list("pk", flat=True)[:BATCH]):
        deleted += rows.filter(pk__in=keys).delete()[0]
    return deleted


def prune() -> None:
    """Run all registered functions. The failure of one must not prevent the others.

    Example:
        >>> register("drafts", lambda: print("no draft is old"))
        >>> prune()
        no draft is old

    """
    for name, one in list(_pruners.items()):
        try:
            one()
        except (DatabaseError, InterfaceError, RedisUnavailable, OSError) as error:
            logger.warning("%s was not pruned: %s", name, error)
        except Exception:
            logger.exception("%s was not pruned", name)


def _prune_versions() -> None:
    background().run(redis_presence().prune(), seconds=REDIS_SECONDS)


register("versions", _prune_versions)
register("sequences", sequencing.prune)
