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


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, hide_input_in_errors=True))
class Settings:
    """What a project may set. Seconds are floats, sizes are bytes.

    Raises `pydantic.ValidationError`, which shows no value, or `ImproperlyConfigured` if values contradict each other.
    """

    REDIS_URL: Annotated[str, AfterValidator(_without_host_too)]
    # `host:port` of each Sentinel. With them REDIS_URL gives user, password, database and TLS, not the host.
    REDIS_SENTINELS: Annotated[Several, AfterValidator(_addresses)] = ()
    REDIS_MASTER: Annotated[str, Field(min_length=1)] = "mymaster"
    REDIS_SENTINEL_PASSWORD: str = ""
    NODE: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = "node"
    # Part of the names of groups, of which Channels allows these characters.
    PREFIX: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")] = "tidewire"
    CHANNEL_LAYER: str = "default"

    ADMIN_HOST: Annotated[str, AfterValidator(_bindable)] = "127.0.0.1"
    ADMIN_PORT: Annotated[int, Field(ge=0, le=65535)] = 0  # 0: no admin port, as under a test client

    ORIGINS: Annotated[
        Several, AfterValidator(_origins)
    ] = ()  # empty: the Host that the request names is the only origin

    # A dead node's members are gone this long after its last touch. Several touches fit in.
    LEASE_SECONDS: Seconds = 10.0
    TOUCH_SECONDS: Seconds = 1.0
    # A page that reloads is back well within this, so nobody sees it leave.
    GRACE_SECONDS: Seconds = 3.0
    # Who edits keeps the lease so long without a socket: a few attempts to reconnect, at a pace that spares the server.
    EDIT_LEASE_SECONDS: Seconds = 20.0
    # Long enough to finish a sentence, short enough to wait for.
    EDIT_ANSWER_SECONDS: Seconds = 30.0
    # Five updates a second look immediate; a storm of N connects then costs O(N) deliveries.
    COALESCE_SECONDS: Seconds = 0.2
    # A lost announcement is noticed after this long, at one pipelined call to Redis.
    CHECK_SECONDS: Seconds = 1.0

    # History of a stream topic: bounded by events and by age. A resume past it reloads.
    HISTORY_LENGTH: Count = 1000
    HISTORY_SECONDS: Seconds = 24 * 3600.0

    # What the process may hold for one connection, and how long it may stay above that.
    BACKLOG_BYTES: Count = 256 * 1024
    SLOW_SECONDS: Seconds = 5.0

    # A connection that is no socket yet: a request of three packets arrives within this on any network.
    HANDSHAKE_SECONDS: Seconds = 10.0
    # As many as the kernel keeps waiting for a process; one more ends the slowest.
    HANDSHAKES_PER_NODE: Count = 4096
    # The body of a plain request to the process; a socket's has none. Django's own default.
    REQUEST_BYTES: Count = 2_621_440
    # Control messages are tiny: anything larger is a mistake or an attack.
    MESSAGE_BYTES: Count = 4096
    MESSAGES_PER_SECOND: Count = 10
    # Pings, pongs and fragments are no messages, but work all the same. One read brings 150 of a flood, and while they
    # are parsed nobody else hears anything: 100 doubled the others' p99, 30 leaves it within a third.
    FRAMES_PER_SECOND: Count = 30

    # Five tabs on ten devices; more is a loop in somebody's script.
    CONNECTIONS_PER_USER: Count = 50
    # 10,000 idle sockets take about 100 MB; the limit keeps a node alive when the others have gone.
    CONNECTIONS_PER_NODE: Count = 10_000
    TOPICS_PER_CONNECTION: Count = 16
    # A session that ended without an event closes its sockets within this: two short queries per session and interval.
    SESSION_CHECK_SECONDS: Seconds = 300.0

    NAMES_LIMIT: Annotated[int, Field(ge=0, le=MOST)] = 20
    # A ticket opens sockets for so long after the page that set it; then the session is read.
    TICKET_SECONDS: Count = 900
    # Family of a presence topic -> the state topic that shows all of the family.
    INDEXES: dict[str, str] = field(default_factory=dict)
    DRAIN_SECONDS: Annotated[float, Field(ge=0, le=YEAR_SECONDS, allow_inf_nan=False)] = 30.0

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
