"""The library's settings: the dict `TIDEWIRE` of Django's settings, read once and validated.

Each number has its reason beside it. An unknown name, a value of the wrong type, or values that contradict each other
prevent the process from starting.
"""

import os
import secrets
import socket
from dataclasses import field, fields
from functools import cache
from typing import Annotated, Any, Final

from django.conf import ENVIRONMENT_VARIABLE
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from tidewire.addresses import host_name, host_port, origin_setting, parse_all
from tidewire.redis_url import redis_url

__all__ = ["Settings", "server_settings", "settings"]

# Longer or larger than any valid use. A greater value is a mistake in the unit and may overflow a timer or a parser.
YEAR_SECONDS: Final = 366 * 24 * 3600
MAX_INT: Final = 2**31 - 1
# Shorter than an event loop can sleep; a check with a shorter interval would run continuously.
MIN_SECONDS: Final = 0.001
# Settings with secret values, which must not appear in errors.
SECRET_SETTINGS: Final = ("REDIS_URL", "REDIS_SENTINEL_PASSWORD")
# Stands for the address of a project that names none: a server alone never connects to Redis.
_NO_REDIS: Final = "redis://none.invalid/0"
# The longest part of a host's name in a node's name; the rest makes it unique.
_HOST_LENGTH: Final = 60


def unique_node_name() -> str:
    """<host>-<process>-<chance>"""  # noqa: D400, D415 - the form, which docs/settings.md shows
    host = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in socket.gethostname())
    return f"{host[:_HOST_LENGTH]}-{os.getpid()}-{secrets.token_hex(2)}"


def _text_tuple(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return tuple(value)
    raise ValueError("a list or a tuple of texts is expected")


def _origins(values: tuple[str, ...]) -> tuple[str, ...]:
    return parse_all(origin_setting, values)


def _addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    parse_all(host_port, values)
    return values


def _redis_url_maybe_without_host(value: str) -> str:
    # A host is required only without REDIS_SENTINELS, so it is checked later.
    return redis_url(value, host_needed=False)


def _bindable(value: str) -> str:
    # Without the brackets that an IPv6 address has in a URL.
    return host_name(value).strip("[]")


TextTuple = Annotated[tuple[str, ...], BeforeValidator(_text_tuple)]
Seconds = Annotated[float, Field(ge=MIN_SECONDS, le=YEAR_SECONDS, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=MAX_INT)]


# The docstring below a field becomes its description, from which docs/settings.md is generated.
CONFIG: Final = ConfigDict(strict=True, hide_input_in_errors=True, use_attribute_docstrings=True)


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Settings:
    """Settings that a project may change. Seconds are floats, sizes are bytes.

    The docstring of each field describes it; `docs/settings.md` shows them with the defaults.

    Raises:
        pydantic.ValidationError: A value is invalid. The error contains no value, which may be secret.
        ImproperlyConfigured: Values contradict each other.

    Example:
        >>> Settings(REDIS_URL="redis://127.0.0.1:6379/0", NODE_NAME="ws-1").LEASE_SECONDS
        10.0

    """

    REDIS_URL: Annotated[str, AfterValidator(_redis_url_maybe_without_host)]
    """The Redis that carries events, presence and revocations: `redis://user:password@host:6379/0`."""
    REDIS_SENTINELS: Annotated[TextTuple, AfterValidator(_addresses)] = ()
    """`host:port` of each Sentinel. If set, REDIS_URL gives user, password, database and TLS, but not the host."""
    REDIS_MASTER: Annotated[str, Field(min_length=1)] = "mymaster"
    """The name of the primary in the Sentinels' configuration."""
    REDIS_SENTINEL_PASSWORD: str = ""
    """The Sentinels' own password. Empty: they require none."""
    NODE_NAME: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = field(default_factory=unique_node_name)
    """The name of this ws process in presence, metrics and logs. It must be unique among the nodes of one Redis."""
    PREFIX: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")] = "tidewire"
    """Prefix of all Redis keys and group names, so projects can share a Redis. Channels allows these characters."""
    CHANNEL_LAYER: str = "default"
    """The channel layer that carries hints from publishers to nodes, by its name in CHANNEL_LAYERS."""

    ADMIN_HOST: Annotated[str, AfterValidator(_bindable)] = "127.0.0.1"
    """The address on which a ws process serves health and metrics."""
    ADMIN_PORT: Annotated[int, Field(ge=0, le=65535)] = 0
    """The port for health and metrics. 0: no admin port, as under a test client. `--admin-port` has the same effect."""
    ADOPT: bool = True
    """Serve stock consumers of Channels with the library's dispatch. False: with Channels' own."""

    ALLOWED_ORIGINS: Annotated[TextTuple, AfterValidator(_origins)] = ()
    """Origins that may open sockets. Empty: only the origin of the requested Host is allowed."""

    LEASE_SECONDS: Seconds = 10.0
    """The members of a dead node are removed this long after its last touch. Several touches must fit into it."""
    TOUCH_SECONDS: Seconds = 1.0
    """The interval at which a node renews its lease."""
    GRACE_SECONDS: Seconds = 3.0
    """A member is removed this long after the last connection closed. A page can reload well within it."""
    EDIT_LEASE_SECONDS: Seconds = 20.0
    """An editor without a socket keeps the lease for this long, which allows a few attempts to reconnect."""
    EDIT_ANSWER_SECONDS: Seconds = 30.0
    """The holder of an edit lease can answer a request for it within this time: enough to finish a sentence."""
    COALESCE_SECONDS: Seconds = 0.2
    """Minimum interval between updates of a state topic. A storm of N connects then costs O(N) deliveries."""
    CHECK_SECONDS: Seconds = 1.0
    """A lost hint is detected within this time, at the cost of one pipelined call to Redis per interval."""

    HISTORY_LENGTH: Count = 1000
    """Events of a stream topic that Redis keeps. A client that missed more must reload its page."""
    HISTORY_SECONDS: Seconds = 24 * 3600.0
    """The age up to which Redis keeps events of a stream topic."""

    MAX_BACKLOG_BYTES: Count = 256 * 1024
    """Bytes that a node may buffer for one slow connection."""
    SLOW_CONSUMER_SECONDS: Seconds = 5.0
    """A connection that remains above MAX_BACKLOG_BYTES for this long is closed with 4001."""

    PROXY_READ_SECONDS: Seconds = 60.0
    """The proxy ends a connection that is idle for this long (`proxy_read_timeout`). See `--ping-interval`."""

    LIMIT_REQUESTS: bool = False
    """Limit plain requests and handshakes by the next three settings, and answers to 30 s. False: as stock Daphne."""
    HANDSHAKE_SECONDS: Seconds = 10.0
    """The deadline of a handshake: a request of three packets arrives within it on any network."""
    HANDSHAKES_PER_NODE: Count = 4096
    """Maximum number of unfinished handshakes per node, as the kernel's backlog. The oldest is closed above it."""
    MAX_REQUEST_BYTES: Count = 2_621_440
    """Maximum body of a plain request to a ws process (Django's default). A WebSocket handshake must have none."""
    MAX_MESSAGE_BYTES: Count = 4096
    """Maximum size of a client's message. Control messages are tiny, so a larger one is a mistake or an attack."""
    MESSAGES_PER_SECOND: Count = 10
    """Messages that a client may send per second; above it the socket is closed with 4002."""
    # A read returns 150 frames of a flood, and other connections wait while they are parsed. A limit of 100 doubled the
    # p99 of the others, 30 keeps it within a third.
    FRAMES_PER_SECOND: Count = 30
    """Frames that a client may send per second. Pings, pongs and fragments are not messages, but cost the same work."""

    CONNECTIONS_PER_USER: Count = 50
    """Connections of one user to a node: five tabs on ten devices. Above it a socket is closed with 4006."""
    CONNECTIONS_PER_NODE: Count = 10_000
    """Maximum number of sockets per node, about 100 MB if idle. The limit protects a node when other nodes fail."""
    TOPICS_PER_CONNECTION: Count = 16
    """Topics that one socket may subscribe to."""
    SESSION_CHECK_SECONDS: Seconds = 300.0
    """Sockets of a session that ended without an event are closed within this. A check takes two queries."""

    MAX_PRESENCE_NAMES: Annotated[int, Field(ge=0, le=MAX_INT)] = 20
    """Names of members in the value of a presence topic. Above it the value has the count and the earliest names."""
    TICKET_SECONDS: Count = 900
    """A ticket can open sockets for this long after it was issued; then the session must be read again."""
    PRESENCE_INDEXES: dict[str, str] = field(default_factory=dict)
    """Maps the family of a presence topic to the state topic of the whole family: `{"document": "documents"}`."""
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
        # Otherwise the second setting could never be reached, or would end before the first allows.
        for least, most in (
            ("MAX_MESSAGE_BYTES", "MAX_BACKLOG_BYTES"),
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
    """Return the settings of this process, which are read once.

    Raises:
        ImproperlyConfigured: TIDEWIRE is missing, names an unknown setting, has an invalid value, or contains values
            that contradict each other.

    Example:
        >>> isinstance(settings(), Settings)
        True

    """
    values = getattr(django_settings, "TIDEWIRE", None)
    if not isinstance(values, dict):
        raise ImproperlyConfigured('settings.TIDEWIRE is missing: set at least {"REDIS_URL": "redis://..."}')
    if not values.get("REDIS_URL"):
        raise ImproperlyConfigured("settings.TIDEWIRE: REDIS_URL is missing")
    return _read(values)


@cache
def server_settings() -> Settings:
    """Return the settings of this process for a server, which needs none and no Redis.

    A project without TIDEWIRE gets the defaults. A node reads `settings`, which requires a Redis.

    Raises:
        ImproperlyConfigured: TIDEWIRE names an unknown setting or has an invalid value.

    Example:
        >>> server_settings().MAX_BACKLOG_BYTES
        262144

    """
    values = getattr(django_settings, "TIDEWIRE", None) if django_settings.configured or _names_module() else None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ImproperlyConfigured(f"settings.TIDEWIRE must be a dict, not {type(values).__name__}")
    return _read(values if values.get("REDIS_URL") else values | {"REDIS_URL": _NO_REDIS})


def _names_module() -> bool:
    return bool(os.environ.get(ENVIRONMENT_VARIABLE))


def _read(values: dict[str, Any]) -> Settings:
    known = {known.name for known in fields(Settings)}
    unknown = sorted(str(name) for name in set(values) - known)
    if unknown:
        raise ImproperlyConfigured(f"settings.TIDEWIRE: unknown {unknown}; known are {sorted(known)}")
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ImproperlyConfigured(_explain(error, values)) from None


def _explain(error: ValidationError, values: dict[str, Any]) -> str:
    """Describe each problem on its own line: the setting, the expected form, and the value unless it is secret."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = str(problem["loc"][0])
        value = "" if name in SECRET_SETTINGS or "@" in repr(values[name]) else f", not {values[name]!r:.100}"
        lines.append(f"settings.TIDEWIRE: {name}: {problem['msg'].removeprefix('Value error, ')}{value}")
    return "\n".join(lines)
