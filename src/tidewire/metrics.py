"""All metrics of tidewire: name, unit, closed labels, and when to act. No other module declares any.

Labels must not carry a name from outside: consumers are classes, topics are families (`document`, not its slug). `make
generate` writes `docs/metrics.md` from this module; the text after "Act:" becomes its last column.
"""

from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from tidewire.close_codes import CloseCode
from tidewire.label_values import (
    DATABASE_ERROR_KINDS,
    DROP_REASONS,
    EDIT_LEASE_STEPS,
    LIMITS,
    OTHER_CLOSE_CODES,
    REDIS_ERROR_KINDS,
    RELAY_FAILURE_REASONS,
    TASKS,
)

# --- sockets -----------------------------------------------------------------------------------------------------
CONNECTIONS = Gauge(
    "tidewire_connections",
    "Sockets open now. Act: when it falls without a drain, or nears the limit.",
    ["consumer"],
    multiprocess_mode="livesum",
)
CONNECTIONS_LIMIT = Gauge(
    "tidewire_connections_limit", "Sockets that this node takes at most. Act: never; the alert divides by it."
)
CONNECTS = Counter(
    "tidewire_connects",
    "Handshakes by their end. Act: when others than `accepted` are more than a few in a hundred.",
    ["consumer", "result"],
)
AUTHENTICATIONS = Counter(
    "tidewire_authentications",
    "Handshakes by the credential that authenticated the user: ticket, session, bearer or unknown. Act: when `session` "
    "takes over, each costs a query; when `unknown` grows: sessions cannot be read.",
    ["credential"],
)
SESSIONS_MISSING = Counter(
    "tidewire_sessions_missing",
    "Page requests with a ticket whose session cannot be found. Act: when there are many at once: sessions were "
    "deleted, or their store has lost them.",
)
CLOSES = Counter(
    "tidewire_closes",
    "Sockets closed, by close code. Act: when 1006, 1011 or 4003 are more than one in ten.",
    ["consumer", "code"],
)
CONNECTION_SECONDS = Histogram(
    "tidewire_connection_duration_seconds",
    "How long sockets lived. Act: when many live for seconds, something closes them.",
    ["consumer"],
    buckets=(1, 5, 30, 60, 300, 900, 3600, 14400, 43200, 86400),
)
SUBSCRIPTIONS = Gauge(
    "tidewire_subscriptions",
    "Connections on topics, by family of topic. Act: never alone; it tells which topics a fan-out is wide on.",
    ["topic"],
)
REJECTED = Counter(
    "tidewire_messages_rejected",
    "Messages of clients that were refused. Act: when it lasts: a client is broken or hostile.",
    ["consumer", "reason"],
)
LIMIT_REJECTIONS = Counter(
    "tidewire_limit_rejections",
    "Connections refused or ended below their consumer, by limit. "
    "Act: when it lasts: a client is broken or hostile, or the limit is too low.",
    ["limit"],
)
REVOKED = Counter(
    "tidewire_revoked",
    "Sockets closed because their user or session lost access. Act: when no user should have lost it.",
)

# --- events ------------------------------------------------------------------------------------------------------
PUBLISHED = Counter(
    "tidewire_events_published",
    "Events published, by family of topic and result. Act: when `repeated` grows: a process publishes twice.",
    ["topic", "result"],
)
DELIVERED = Counter(
    "tidewire_events_delivered",
    "Events written to sockets. Act: when it stops while events are published.",
    ["topic"],
)
DELIVERY_SECONDS = Histogram(
    "tidewire_delivery_seconds",
    "From publish until the last socket of this node was written. Act: when p99 passes 0.25 s, the objective.",
    ["topic"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
FANOUT_SECONDS = Histogram(
    "tidewire_fanout_seconds",
    "How long one fan-out took on this node. Act: when p99 nears the delivery objective, this node has too many.",
    ["topic"],
    # From a single write to a full node's ten thousand.
    buckets=(0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 10),
)
DROPPED = Counter(
    "tidewire_dropped",
    "Hints that the layer lost or that a hub could not read, and writes that a socket refused. Act: on any.",
    ["reason"],
)
RESUMES = Counter(
    "tidewire_resumes",
    "Starts on a stream topic: new, recovered, or lost. Act: on any `lost`: a client had to read its list again.",
    ["result"],
)
HISTORY_READS = Counter(
    "tidewire_history_reads",
    "Reads of a stream's history from Redis. Act: when it grows with no reconnects: hints are being lost.",
    ["topic"],
)
OUTBOX_WAITING = Gauge(
    "tidewire_outbox_waiting",
    "Events committed and not yet published. Act: when it grows: Redis is unavailable, or no publisher makes progress.",
    multiprocess_mode="mostrecent",
)
OUTBOX_OLDEST_SECONDS = Gauge(
    "tidewire_outbox_oldest_seconds",
    "How long the oldest of them has waited. Act: above a minute.",
    multiprocess_mode="mostrecent",
)

# --- the relay ---------------------------------------------------------------------------------------------------
RELAY_PUBLISHED = Counter(
    "tidewire_relay_published",
    "Events that the relay published, because the process that committed them could not. "
    "Act: when it grows while Redis is available: processes end or hang between commit and publishing.",
)
RELAY_FAILURES = Counter(
    "tidewire_relay_failures",
    "Polls of the outbox by the relay that failed, because Redis or the database is unavailable or another publisher "
    "makes no progress. Act: when it lasts for a minute.",
    ["reason"],
)
RELAY_LAST_POLL_SECONDS = Gauge(
    "tidewire_relay_last_poll_timestamp_seconds",
    "When the relay last polled the outbox and could publish the waiting events. Act: when that is a minute ago.",
)

# --- slow consumers ----------------------------------------------------------------------------------------------
SLOW_CONNECTIONS = Gauge(
    "tidewire_slow_connections", "Sockets over their byte limit now. Act: when many, or on all nodes."
)
SLOW_CLOSES = Counter(
    "tidewire_slow_closes",
    "Sockets disconnected because they read too slowly. Act: when more than a few an hour.",
    ["consumer"],
)
BACKLOG_BYTES = Gauge(
    "tidewire_backlog_bytes", "Bytes that wait in this process for slow sockets. Act: when it nears the memory limit."
)

# --- presence ----------------------------------------------------------------------------------------------------
USERS = Gauge(
    "tidewire_users",
    "Distinct users in the whole cluster, as this node knows: aggregate by max. Act: never; it is the load.",
)
PRESENCE_MEMBERS = Gauge(
    "tidewire_presence_members",
    "Members with a connection on this node, by family of topic; on two nodes twice. Act: never; it is the load.",
    ["topic"],
)
LEASES_REGISTERED = Counter(
    "tidewire_leases_registered",
    "Times this node had to register and refill presence. Act: more than once a start: Redis lost data or was down.",
)
LEASES_EXPIRED = Counter(
    "tidewire_leases_expired",
    "Leases that ended and were swept by this node; a drained node's too. Act: when no node was stopped.",
)
GHOSTS = Counter(
    "tidewire_presence_ghosts",
    "Members removed because the lease of their node expired. Act: on any outside a deploy.",
)
PRESENCE_CONNECTIONS_LOST = Counter(
    "tidewire_presence_connections_lost",
    "Connections of presence entries that such a node had: closes that it could not count itself, of sockets with "
    "presence. Act: on any outside a deploy.",
)

EDIT_LEASE_CHANGES = Counter(
    "tidewire_edit_lease_changes",
    "Edit leases that got another holder or asker, by the move that did it. Act: never alone; editors change.",
    ["step"],
)

# --- the node ----------------------------------------------------------------------------------------------------
TASK_RESTARTS = Counter(
    "tidewire_task_restarts",
    "Times a task of this node raised an error and was restarted. Act: on any; the log has the traceback.",
    ["task"],
)
STALE = Gauge(
    "tidewire_stale", "1 while Redis is unavailable and sockets may show old values. Act: when it lasts for a minute."
)
DRAINING = Gauge("tidewire_draining", "1 while this node drains. Act: when no drain was requested.")
DRAIN_STARTED_SECONDS = Gauge(
    "tidewire_drain_started_timestamp_seconds", "When the drain began; 0 before. Act: never; the alert counts from it."
)
DRAIN_LIMIT_SECONDS = Gauge(
    "tidewire_drain_limit_seconds",
    "The time that a drain may take before the process ends. Act: when a drain takes more than 86 % of it.",
)
LOOP_LAG_SECONDS = Histogram(
    "tidewire_loop_lag_seconds",
    "How late the event loop woke. Act: when p99 passes 0.1 s: everything this node does is late.",
    buckets=(0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
ASYNCIO_TASKS = Gauge(
    "tidewire_asyncio_tasks", "Tasks of the event loop. Act: when it grows and the sockets do not, something leaks."
)

# --- Redis -------------------------------------------------------------------------------------------------------
REDIS_ERRORS = Counter(
    "tidewire_redis_errors", "Calls to Redis that failed, by kind. Act: when they last for a minute.", ["kind"]
)
REDIS_RECONNECTS = Counter(
    "tidewire_redis_reconnects", "Times Redis answered this process again after an error. Act: when it flaps."
)

LAYER_DROPPED = Counter(
    "tidewire_layer_messages_dropped",
    "Messages of the channel layer that a consumer did not read in time, so that its mailbox was full. "
    "Act: when it grows: a consumer is too slow for its group, or hangs.",
)
LAYER_GAPS = Counter(
    "tidewire_layer_gaps",
    "Times the channel layer lost its subscription; messages of that time are lost. Act: when it flaps.",
)
# --- the database ------------------------------------------------------------------------------------------------
DATABASE_ERRORS = Counter(
    "tidewire_database_errors",
    "Waits for PostgreSQL that failed: timeout (no answer in time) or connection (refused or lost). "
    "Act: when they last for a minute.",
    ["kind"],
)

SECRET_INFO = Gauge(
    "tidewire_secret_info",
    "1, with a keyed hash of a secret that this process has read. Act: when processes differ: restart those that "
    "started before the rotation.",
    ["secret", "fingerprint"],
    multiprocess_mode="livemax",
)

# --- pages -------------------------------------------------------------------------------------------------------
REQUESTS = Counter(
    "tidewire_requests",
    "Page requests, by method, view and status class. Act: when 5xx are more than one in a hundred.",
    ["method", "view", "status"],
)
REQUEST_SECONDS = Histogram(
    "tidewire_request_duration_seconds",
    "How long page requests took. Act: when p95 passes 0.5 s.",
    ["view"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

# The closed sets of label values. Each must start at 0: Prometheus does not count the first appearance of a counter as
# an increase.
VALUES: dict[Any, tuple[str, ...]] = {
    AUTHENTICATIONS: ("ticket", "session", "bearer", "unknown"),
    DROPPED: DROP_REASONS,
    LIMIT_REJECTIONS: LIMITS,
    RESUMES: ("new", "recovered", "lost"),
    EDIT_LEASE_CHANGES: EDIT_LEASE_STEPS,
    TASK_RESTARTS: TASKS,
    REDIS_ERRORS: REDIS_ERROR_KINDS,
    DATABASE_ERRORS: DATABASE_ERROR_KINDS,
    RELAY_FAILURES: RELAY_FAILURE_REASONS,
}
# The same for metrics with another label before it: a consumer or a family of topics.
VALUES_PER_LABEL: dict[Any, tuple[str, ...]] = {
    CONNECTS: ("accepted", "origin", "unknown", *(code.name.lower() for code in CloseCode)),
    CLOSES: (*OTHER_CLOSE_CODES, *(str(code.value) for code in CloseCode)),
    REJECTED: ("malformed", "flooding", "too_large"),
    PUBLISHED: ("new", "repeated"),
}


# The results and codes of a consumer that is not tidewire's; a project's own codes are added, up to a limit.
FOREIGN_RESULTS = ("accepted", "rejected", "failed")
FOREIGN_CLOSE_CODES = ("1000", "1001", "1005", "1006", "1011", "1012", "1013", "other")
MAX_OWN_CODES = 20
_own_codes: set[int] = set()


def foreign_close_label(code: int, *, own: bool) -> str:
    """Return the label of a close code. `own` is a code that the application has sent; clients may send any."""
    if str(code) in OTHER_CLOSE_CODES:
        return str(code)
    if own and (code in _own_codes or len(_own_codes) < MAX_OWN_CODES):
        _own_codes.add(code)
        return str(code)
    return "other"


def initialise_foreign(consumer: str) -> None:
    """Initialise the counters of a consumer that is not tidewire's with 0."""
    CONNECTIONS.labels(consumer)
    CONNECTION_SECONDS.labels(consumer)
    SLOW_CLOSES.labels(consumer)
    for result in FOREIGN_RESULTS:
        CONNECTS.labels(consumer, result)
    for code in FOREIGN_CLOSE_CODES:
        CLOSES.labels(consumer, code)


def initialise(consumer: str) -> None:
    """Initialise a consumer's counters with 0."""
    CONNECTIONS.labels(consumer)
    CONNECTION_SECONDS.labels(consumer)
    SLOW_CLOSES.labels(consumer)
    for metric in (CONNECTS, CLOSES, REJECTED):
        for value in VALUES_PER_LABEL[metric]:
            metric.labels(consumer, value)


for _metric, _values in VALUES.items():
    for _value in _values:
        _metric.labels(_value)
for _result in ("origin", "unknown"):
    CONNECTS.labels("none", _result)
