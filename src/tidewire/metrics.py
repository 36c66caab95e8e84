"""Every metric of tidewire: name, unit, closed labels, and when to act. Declared here and nowhere else.

Labels never carry a name from outside: consumers are classes, topics are families (`document`, not its slug).
"""

from prometheus_client import Counter, Gauge, Histogram

CONNECTIONS = Gauge("tidewire_connections", "Sockets open now.", ["consumer"], multiprocess_mode="livesum")
CONNECTS = Counter("tidewire_connects", "Handshakes by their end.", ["consumer", "result"])
AUTHENTICATIONS = Counter("tidewire_authentications", "Handshakes by what told the user: ticket or session.", ["by"])
CLOSES = Counter("tidewire_closes", "Sockets closed, by close code.", ["consumer", "code"])
CONNECTION_SECONDS = Histogram(
    "tidewire_connection_duration_seconds",
    "How long sockets lived.",
    ["consumer"],
    buckets=(1, 5, 30, 60, 300, 900, 3600, 14400, 43200, 86400),
)
SUBSCRIPTIONS = Gauge("tidewire_subscriptions", "Connections on topics, by family of topic.", ["topic"])
USERS = Gauge("tidewire_users", "Distinct users in the whole cluster, as this node knows: aggregate by max.")
PUBLISHED = Counter(
    "tidewire_events_published", "Events published, by family of topic and result.", ["topic", "result"]
)
DELIVERED = Counter("tidewire_events_delivered", "Events written to sockets.", ["topic"])
DELIVERY_SECONDS = Histogram(
    "tidewire_delivery_seconds",
    "From publish until the last socket of this node was written.",
    ["topic"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
FANOUT_SECONDS = Histogram(
    "tidewire_fanout_seconds",
    "How long one fan-out took on this node.",
    ["topic"],
    buckets=(0.00001, 0.0001, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10),
)
RESUMES = Counter("tidewire_resumes", "Starts on a stream topic: new, recovered, or lost.", ["result"])
HISTORY_READS = Counter("tidewire_history_reads", "Reads of a stream's history from Redis.", ["topic"])
REVOKED = Counter("tidewire_revoked", "Sockets closed because their user or session lost access.")
SLOW_CLOSES = Counter("tidewire_slow_closes", "Sockets cut because they read too slowly.", ["consumer"])
BACKLOG_BYTES = Gauge("tidewire_backlog_bytes", "Bytes that wait in this process for slow sockets.")
REJECTED = Counter("tidewire_messages_rejected", "Messages of clients that were refused.", ["consumer", "reason"])
LEASES_REGISTERED = Counter("tidewire_leases_registered", "Times this node had to register and refill presence.")
LEASES_EXPIRED = Counter("tidewire_leases_expired", "Leases of nodes that ended without a drain, seen by this node.")
EDIT_LEASE_CHANGES = Counter(
    "tidewire_edit_lease_changes", "Edit leases that got another holder or asker, by the move that did it.", ["step"]
)
HUB_RESTARTS = Counter("tidewire_hub_restarts", "Times a task of the hub died and was restarted.", ["task"])
STALE = Gauge("tidewire_stale", "1 while Redis is away and sockets may show what is out of date.")
DRAINING = Gauge("tidewire_draining", "1 while this node drains.")
LOOP_LAG_SECONDS = Histogram(
    "tidewire_loop_lag_seconds",
    "How late the event loop woke.",
    buckets=(0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
OUTBOX_WAITING = Gauge(
    "tidewire_outbox_waiting", "Events committed and not yet published.", multiprocess_mode="mostrecent"
)
REQUESTS = Counter(
    "tidewire_requests", "Page requests, by method, view and status class.", ["method", "view", "status"]
)
REQUEST_SECONDS = Histogram(
    "tidewire_request_duration_seconds",
    "How long page requests took.",
    ["view"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
