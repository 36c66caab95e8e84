"""The closed sets of label values of `tidewire.metrics`."""

TASKS = (
    "receiving",
    "checking",
    "presence",
    "edit leases",
    "slow",
    "lag",
    "sessions",
    "redis clock",
    "delivery",
    "reporting",
    # Of tidewire.testing alone.
    "publishing",
)
DATABASE_ERROR_KINDS = ("timeout", "connection")
REDIS_ERROR_KINDS = ("timeout", "connection", "other")
RELAY_FAILURE_REASONS = ("redis", "database", "publisher")
# The steps of `contrib.edit_lease`, which this module must not import.
EDIT_LEASE_STEPS = ("take", "touch", "ask", "hand_over", "keep", "leave")
DROP_REASONS = ("hint", "write")
LIMITS = (
    "application_seconds",
    "frames_per_second",
    "handshake_seconds",
    "handshakes",
    "message_bytes",
    "protocol",
    "request",
    "request_bytes",
)
# The protocol's own codes, each of which a client may send; a code that a client invents is `other`.
OTHER_CLOSE_CODES = (*(str(code) for code in range(1000, 1016)), "other")
