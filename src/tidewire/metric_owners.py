"""The processes that measure each metric: ws nodes, pages and the relay."""

from collections.abc import Iterable
from typing import Any

from tidewire import metrics

# Metrics that only a ws node, only a page's process, or only the relay can measure. Each of these processes imports all
# of them, and would export the others as zeros.
NODE_METRICS: tuple[Any, ...] = (
    metrics.CONNECTIONS,
    metrics.CONNECTIONS_LIMIT,
    metrics.CONNECTS,
    metrics.AUTHENTICATIONS,
    metrics.CLOSES,
    metrics.CONNECTION_SECONDS,
    metrics.SUBSCRIPTIONS,
    metrics.REJECTED,
    metrics.LIMIT_REJECTIONS,
    metrics.REVOKED,
    metrics.DELIVERED,
    metrics.DELIVERY_SECONDS,
    metrics.FANOUT_SECONDS,
    metrics.RESUMES,
    metrics.HISTORY_READS,
    metrics.SLOW_CONNECTIONS,
    metrics.SLOW_CLOSES,
    metrics.BACKLOG_BYTES,
    metrics.USERS,
    metrics.PRESENCE_MEMBERS,
    metrics.LEASES_REGISTERED,
    metrics.LEASES_EXPIRED,
    metrics.GHOSTS,
    metrics.PRESENCE_CONNECTIONS_LOST,
    metrics.EDIT_LEASE_CHANGES,
    metrics.TASK_RESTARTS,
    metrics.STALE,
    metrics.DRAINING,
    metrics.LAYER_DROPPED,
    metrics.LAYER_GAPS,
    metrics.DRAIN_STARTED_SECONDS,
    metrics.DRAIN_LIMIT_SECONDS,
    metrics.LOOP_LAG_SECONDS,
    metrics.ASYNCIO_TASKS,
)
PAGE_METRICS: tuple[Any, ...] = (
    metrics.OUTBOX_WAITING,
    metrics.REQUESTS,
    metrics.REQUEST_SECONDS,
    metrics.SESSIONS_MISSING,
)
RELAY_METRICS: tuple[Any, ...] = (metrics.RELAY_PUBLISHED, metrics.RELAY_FAILURES, metrics.RELAY_LAST_POLL_SECONDS)
# Exported by each process that reads the outbox.
PAGE_AND_RELAY_METRICS: tuple[Any, ...] = (metrics.OUTBOX_OLDEST_SECONDS,)

# Metrics that a node must not export, and those that a page's process must not export.
NOT_NODE_METRICS = (*PAGE_METRICS, *RELAY_METRICS, *PAGE_AND_RELAY_METRICS)
NOT_PAGE_METRICS = (*NODE_METRICS, *RELAY_METRICS)


def families(declared: Iterable[Any]) -> frozenset[str]:
    """Return the names of these metrics in a registry."""
    return frozenset(family.name for metric in declared for family in metric.describe())
