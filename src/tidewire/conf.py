"""The library's settings: the dict `TIDEWIRE` of Django's settings, read once and checked.

Every number has its reason beside it. A name that does not exist, a value of another type and values that contradict
each other stop the start.
"""

from dataclasses import field, fields
from functools import cache
from typing import Annotated, Any, Final

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from tidewire.addresses import every, host_name, host_port, origin_setting
from tidewire.redis_host import redis_url

# Longer or larger than any use; what is beyond is a mistake in the unit, and may overflow a timer or a parser.
YEAR_SECONDS: Final = 366 * 24 * 3600
MOST: Final = 2**31 - 1
# Shorter than a loop can wait; a check after less would run all the time.
LEAST_SECONDS: Final = 0.001
# Their values never stand in an error.
SECRET: Final = ("REDIS_URL", "REDIS_SENTINEL_PASSWORD")


def _several(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return tuple(value)
    raise ValueError("a list or a tuple of texts is expected")


def _origins(values: tuple[str, ...]) -> tuple[str, ...]:
    return every(origin_setting, values)


def _addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    every(host_port, values)
    return values


def _without_host_too(value: str) -> str:
    # Whether it must name a host depends on REDIS_SENTINELS.
    return redis_url(value, host_needed=False)


def _bindable(value: str) -> str:
    # Without the brackets that an IPv6 address has in a URL.
    return host_name(value).strip("[]")


Several = Annotated[tuple[str, ...], BeforeValidator(_several)]
Seconds = Annotated[float, Field(ge=LEAST_SECONDS, le=YEAR_SECONDS, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=MOST)]


# The docstring below a field becomes its description: docs/settings.md is written from them.
CONFIG: Final = ConfigDict(strict=True, hide_input_in_errors=True, use_attribute_docstrings=True)


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Settings:
    """What a project may set. Seconds are floats, sizes are bytes.

    Raises `pydantic.ValidationError`, which shows no value, or `ImproperlyConfigured` if values contradict each other.
    """

    REDIS_URL: Annotated[str, AfterValidator(_without_host_too)]
    """The Redis that carries events, presence and revocations: `redis://user:password@host:6379/0`."""
    REDIS_SENTINELS: Annotated[Several, AfterValidator(_addresses)] = ()
    """`host:port` of each Sentinel. With them REDIS_URL gives user, password, database and TLS, not the host."""
    REDIS_MASTER: Annotated[str, Field(min_length=1)] = "mymaster"
    """The name that the Sentinels have for the primary."""
    REDIS_SENTINEL_PASSWORD: str = ""
    """The Sentinels' own password. Empty: they need none."""
    NODE: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = "node"
    """The name of this ws process in presence, metrics and logs; unique among the nodes of one Redis."""
    PREFIX: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")] = "tidewire"
    """The start of all Redis keys and group names: projects can share a Redis. Channels allows these characters."""
    CHANNEL_LAYER: str = "default"
    """The channel layer that carries hints from publishers to nodes, by its name in CHANNEL_LAYERS."""

    ADMIN_HOST: Annotated[str, AfterValidator(_bindable)] = "127.0.0.1"
    """The address on which a ws process serves health and metrics."""
    ADMIN_PORT: Annotated[int, Field(ge=0, le=65535)] = 0
    """The port for health and metrics. 0: no admin port, as under a test client."""

    ORIGINS: Annotated[Several, AfterValidator(_origins)] = ()
    """Origins whose pages may open sockets. Empty: the Host that the request names is the only origin."""

    LEASE_SECONDS: Seconds = 10.0
    """The members of a dead node are removed this long after its last touch. Several touches fit in."""
    TOUCH_SECONDS: Seconds = 1.0
    """The interval at which a node renews its lease."""
    GRACE_SECONDS: Seconds = 3.0
    """A member whose last connection closed is removed after this. A page that reloads is back well within it."""
    EDIT_LEASE_SECONDS: Seconds = 20.0
    """An editor without a socket keeps the lease for this long: a few attempts to reconnect."""
    EDIT_ANSWER_SECONDS: Seconds = 30.0
    """The holder of an edit lease has this long to answer a request for it: enough to finish a sentence."""
    COALESCE_SECONDS: Seconds = 0.2
    """The least interval between two updates of a state topic. A storm of N connects then costs O(N) deliveries."""
    CHECK_SECONDS: Seconds = 1.0
    """A lost hint is noticed after this, at the cost of one pipelined call to Redis per interval."""

    HISTORY_LENGTH: Count = 1000
    """Events of a stream topic that Redis keeps. A client that missed more reads its page again."""
    HISTORY_SECONDS: Seconds = 24 * 3600.0
    """The age up to which Redis keeps events of a stream topic."""

    BACKLOG_BYTES: Count = 256 * 1024
    """Bytes that a node holds for one connection that reads slowly."""
    SLOW_SECONDS: Seconds = 5.0
    """A connection that stays above BACKLOG_BYTES for this long is closed with 4001."""

    HANDSHAKE_SECONDS: Seconds = 10.0
    """The deadline of a handshake: a request of three packets arrives within it on any network."""
    HANDSHAKES_PER_NODE: Count = 4096
    """Unfinished handshakes of a node, as many as the kernel keeps waiting for a process. One more ends the slowest."""
    REQUEST_BYTES: Count = 2_621_440
    """The largest body of a plain request to a ws process; a socket's request has none. Django's own default."""
    MESSAGE_BYTES: Count = 4096
    """The largest message of a client. Control messages are tiny: a larger one is a mistake or an attack."""
    MESSAGES_PER_SECOND: Count = 10
    """Messages of one client in a second; above it the socket is closed with 4002."""
    # One read brings 150 frames of a flood, and other connections wait while they are parsed: 100 doubled the others'
    # p99, 30 leaves it within a third.
    FRAMES_PER_SECOND: Count = 30
    """Frames of one client in a second. Pings, pongs and fragments are no messages, but cost the same work."""

    CONNECTIONS_PER_USER: Count = 50
    """Connections of one user to a node: five tabs on ten devices. Above it a socket is closed with 4006."""
    CONNECTIONS_PER_NODE: Count = 10_000
    """Sockets of one node, about 100 MB if idle. The limit keeps a node alive when the others have gone."""
    TOPICS_PER_CONNECTION: Count = 16
    """Topics of one socket."""
    SESSION_CHECK_SECONDS: Seconds = 300.0
    """A session that ended without an event closes its sockets within this; two short queries per session each time."""

    NAMES_LIMIT: Annotated[int, Field(ge=0, le=MOST)] = 20
    """Names of members in one value of a presence topic. Above it the value has the count and the earliest names."""
    TICKET_SECONDS: Count = 900
    """A ticket opens sockets for this long after the page that set it; then the session is read."""
    INDEXES: dict[str, str] = field(default_factory=dict)
    """Family of a presence topic to the state topic that shows all of the family: `{"document": "documents"}`."""
    DRAIN_SECONDS: Annotated[float, Field(ge=0, le=YEAR_SECONDS, allow_inf_nan=False)] = 30.0
    """The time over which a draining node closes its sockets."""

    def __post_init__(self) -> None:
        if not self.REDIS_SENTINELS:
            self._expect_host()
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
        # The second would never be reached, or end what the first allows.
        for least, most in (
            ("MESSAGE_BYTES", "BACKLOG_BYTES"),
            ("MESSAGES_PER_SECOND", "FRAMES_PER_SECOND"),
            ("CHECK_SECONDS", "HISTORY_SECONDS"),
            ("COALESCE_SECONDS", "LEASE_SECONDS"),
        ):
            if getattr(self, least) > getattr(self, most):
                raise ImproperlyConfigured(
                    f"TIDEWIRE: {least} ({getattr(self, least)}) must not be above {most} ({getattr(self, most)})"
                )

    def _expect_host(self) -> None:
        try:
            redis_url(self.REDIS_URL)
        except ValueError as error:
            raise ImproperlyConfigured(f"settings.TIDEWIRE: REDIS_URL: {error}") from None


@cache
def settings() -> Settings:
    """The settings of this process.

    Raises `ImproperlyConfigured` if TIDEWIRE is missing, names an unknown setting, has a value of another form, or
    does not add up.
    """
    given = getattr(django_settings, "TIDEWIRE", None)
    if not isinstance(given, dict):
        raise ImproperlyConfigured('settings.TIDEWIRE is missing: set at least {"REDIS_URL": "redis://..."}')
    known = {known.name for known in fields(Settings)}
    unknown = sorted(str(name) for name in set(given) - known)
    if unknown:
        raise ImproperlyConfigured(f"settings.TIDEWIRE: unknown {unknown}; known are {sorted(known)}")
    if not given.get("REDIS_URL"):
        raise ImproperlyConfigured("settings.TIDEWIRE: REDIS_URL is missing")
    try:
        return Settings(**given)
    except ValidationError as error:
        raise ImproperlyConfigured(_explain(error, given)) from None


def _explain(error: ValidationError, given: dict[str, Any]) -> str:
    """Every problem on a line of its own: the setting, what was expected, and the value unless it is a secret."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = str(problem["loc"][0])
        value = "" if name in SECRET or "@" in repr(given[name]) else f", not {given[name]!r:.100}"
        lines.append(f"settings.TIDEWIRE: {name}: {problem['msg'].removeprefix('Value error, ')}{value}")
    return "\n".join(lines)
