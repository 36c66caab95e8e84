"""The library's settings: the dict `TIDEWIRE` of Django's settings, read once and checked.

Every number has its reason beside it; a name that does not exist stops the start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a project may set. Seconds are floats, sizes are bytes."""

    REDIS_URL: str
    # `host:port` of each Sentinel. With them REDIS_URL gives user, password, database and TLS, not the host.
    REDIS_SENTINELS: tuple[str, ...] = ()
    REDIS_MASTER: str = "mymaster"
    REDIS_SENTINEL_PASSWORD: str = ""
    NODE: str = "node"
    PREFIX: str = "tidewire"
    CHANNEL_LAYER: str = "default"

    ADMIN_HOST: str = "127.0.0.1"
    ADMIN_PORT: int = 0  # 0: no admin port, as under a test client

    ORIGINS: tuple[str, ...] = ()  # empty: the Host that the request names is the only origin

    # A dead node's members are gone this long after its last touch. Several touches fit in.
    LEASE_SECONDS: float = 10.0
    TOUCH_SECONDS: float = 1.0
    # A page that reloads is back well within this, so nobody sees it leave.
    GRACE_SECONDS: float = 3.0
    # Who edits keeps the lease so long without a socket: a few attempts to reconnect, at a pace that spares the server.
    EDIT_LEASE_SECONDS: float = 20.0
    # Long enough to finish a sentence, short enough to wait for.
    EDIT_ANSWER_SECONDS: float = 30.0
    # Five updates a second look immediate; a storm of N connects then costs O(N) deliveries.
    COALESCE_SECONDS: float = 0.2
    # A lost announcement is noticed after this long, at one pipelined call to Redis.
    CHECK_SECONDS: float = 1.0

    # History of a stream topic: bounded by events and by age. A resume past it reloads.
    HISTORY_LENGTH: int = 1000
    HISTORY_SECONDS: float = 24 * 3600.0

    # What the process may hold for one connection, and how long it may stay above that.
    BACKLOG_BYTES: int = 256 * 1024
    SLOW_SECONDS: float = 5.0

    # A connection that is no socket yet: a request of three packets arrives within this on any network.
    HANDSHAKE_SECONDS: float = 10.0
    # As many as the kernel keeps waiting for a process; one more ends the slowest.
    HANDSHAKES_PER_NODE: int = 4096
    # The body of a plain request to the process; a socket's has none. Django's own default.
    REQUEST_BYTES: int = 2_621_440
    # Control messages are tiny: anything larger is a mistake or an attack.
    MESSAGE_BYTES: int = 4096
    MESSAGES_PER_SECOND: int = 10
    # Pings, pongs and fragments are no messages, but work all the same. One read brings 150 of a flood, and while they
    # are parsed nobody else hears anything: 100 doubled the others' p99, 30 leaves it within a third.
    FRAMES_PER_SECOND: int = 30

    # Five tabs on ten devices; more is a loop in somebody's script.
    CONNECTIONS_PER_USER: int = 50
    # 10,000 idle sockets take about 100 MB; the limit keeps a node alive when the others have gone.
    CONNECTIONS_PER_NODE: int = 10_000
    TOPICS_PER_CONNECTION: int = 16
    # A session that ended without an event closes its sockets within this: two short queries per session and interval.
    SESSION_CHECK_SECONDS: float = 300.0

    NAMES_LIMIT: int = 20
    # A ticket opens sockets for so long after the page that set it; then the session is read.
    TICKET_SECONDS: int = 900
    # Family of a presence topic -> the state topic that shows all of the family.
    INDEXES: Mapping[str, str] = field(default_factory=dict)
    DRAIN_SECONDS: float = 30.0

    def __post_init__(self) -> None:
        if not self.GRACE_SECONDS < self.LEASE_SECONDS:
            raise ImproperlyConfigured(
                f"TIDEWIRE: GRACE_SECONDS ({self.GRACE_SECONDS}) runs inside the lease: "
                f"it must be below LEASE_SECONDS ({self.LEASE_SECONDS})"
            )
        if not self.TOUCH_SECONDS * 2 < self.LEASE_SECONDS - self.GRACE_SECONDS:
            raise ImproperlyConfigured(
                f"TIDEWIRE: TOUCH_SECONDS ({self.TOUCH_SECONDS}) must fit twice into the lease "
                f"less the grace ({self.LEASE_SECONDS - self.GRACE_SECONDS})"
            )
        if not max(self.GRACE_SECONDS, self.TOUCH_SECONDS * 2) < self.EDIT_LEASE_SECONDS:
            raise ImproperlyConfigured(
                f"TIDEWIRE: the grace ({self.GRACE_SECONDS}) and TOUCH_SECONDS ({self.TOUCH_SECONDS}) twice "
                f"must be below EDIT_LEASE_SECONDS ({self.EDIT_LEASE_SECONDS})"
            )


@cache
def settings() -> Settings:
    """The settings of this process.

    Raises `ImproperlyConfigured` where TIDEWIRE is missing, names an unknown setting, or does not add up.
    """
    given = getattr(django_settings, "TIDEWIRE", None)
    if not isinstance(given, dict):
        raise ImproperlyConfigured('settings.TIDEWIRE is missing: set at least {"REDIS_URL": "redis://..."}')
    known = {known.name for known in fields(Settings)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ImproperlyConfigured(f"settings.TIDEWIRE: unknown {unknown}; known are {sorted(known)}")
    if not given.get("REDIS_URL"):
        raise ImproperlyConfigured("settings.TIDEWIRE: REDIS_URL is missing")
    return Settings(**given)
