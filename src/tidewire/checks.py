"""System checks of a deployment: `manage.py check --deploy` with `tidewire` in `INSTALLED_APPS`.

Each names a setting that works on one machine and fails in production, with the remedy.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import redis
from channels.routing import get_default_application
from channels.security.websocket import OriginValidator
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name for it
from django.core.exceptions import ImproperlyConfigured
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from tidewire.auth.origin import OriginCheck
from tidewire.conf import settings as tidewire_settings

PAGE = "See docs/use-in-your-project.md, System checks."
MEMORY_LAYER = "channels.layers.InMemoryChannelLayer"
CORE_LAYER = "channels_redis.core.RedisChannelLayer"
REDIS_LAYERS = (CORE_LAYER, "channels_redis.pubsub.RedisPubSubChannelLayer")
# Since this version of redis-py, connections have a timeout of 5 s and pools a limit of 100 by default.
REDIS_PY_WITH_DEFAULTS = 8
# A check must not hang with a Redis that does not answer.
REDIS_SECONDS = 2.0
PROBE_KEY = "check"


def check_layers(**_options: Any) -> list[CheckMessage]:
    """Check the channel layers: one in memory reaches one process only, and idle sockets must survive the defaults."""
    return [message for name, layer in _layers() for message in _check_layer(name, layer)]


def _layers() -> Iterable[tuple[str, dict[str, Any]]]:
    return getattr(settings, "CHANNEL_LAYERS", {}).items()


def _check_layer(name: str, layer: dict[str, Any]) -> Iterator[CheckMessage]:
    setting = f"CHANNEL_LAYERS[{name!r}]"
    if layer.get("BACKEND") == MEMORY_LAYER:
        yield Warning(
            f"{setting} is in memory: a message reaches the sockets of one process only.",
            hint=f"Use a layer over Redis in production. {PAGE}",
            id="tidewire.W001",
        )
    if layer.get("BACKEND") in REDIS_LAYERS and redis.VERSION[0] >= REDIS_PY_WITH_DEFAULTS:
        hosts = layer.get("CONFIG", {}).get("hosts", [{}])
        if any(not isinstance(host, dict) or host.get("socket_timeout", 5) is not None for host in hosts):
            yield Warning(
                f"{setting}: redis-py {redis.__version__} ends a connection that is idle for 5 s"
                + (", and idle sockets with it (1011)." if layer["BACKEND"] == CORE_LAYER else "."),
                hint=f'Give each of "hosts" as a dict with "socket_timeout": None. {PAGE}',
                id="tidewire.W002",
            )
        if any(not isinstance(host, dict) or "max_connections" not in host for host in hosts):
            yield Warning(
                f"{setting}: redis-py {redis.__version__} allows 100 connections, so a storm of reconnects fails.",
                hint=f'Give each of "hosts" as a dict with "max_connections". {PAGE}',
                id="tidewire.W003",
            )


def check_origin(**_options: Any) -> list[CheckMessage]:
    """Check that a page of another site cannot open sockets with the cookies of its visitor."""
    if not getattr(settings, "ASGI_APPLICATION", None):
        return []
    try:
        application: Any = get_default_application()
    except ImproperlyConfigured:
        # The start reports it.
        return []
    application = getattr(application, "application_mapping", {}).get("websocket")
    while application is not None and not isinstance(application, (OriginValidator, OriginCheck)):
        if hasattr(application, "routes") or hasattr(application, "consumer_class"):
            return [
                Warning(
                    "ASGI_APPLICATION checks no origin: a page of any site can open sockets as its visitor.",
                    hint=f"Put AllowedHostsOriginValidator, or tidewire's OriginCheck, around the routes. {PAGE}",
                    id="tidewire.W004",
                )
            ]
        application = getattr(application, "inner", None)
    return []


def check_databases(**_options: Any) -> list[CheckMessage]:
    """Check that concurrent writers of SQLite wait for each other."""
    databases: dict[str, dict[str, Any]] = settings.DATABASES
    return [
        Warning(
            f"DATABASES[{name!r}]: SQLite begins transactions as readers, so concurrent writers fail with "
            "'database is locked'.",
            hint=f'Set "OPTIONS": {{"transaction_mode": "IMMEDIATE", "timeout": 20}}. {PAGE}',
            id="tidewire.W005",
        )
        for name, database in databases.items()
        if database.get("ENGINE") == "django.db.backends.sqlite3"
        and database.get("OPTIONS", {}).get("transaction_mode") not in ("IMMEDIATE", "EXCLUSIVE")
    ]


def check_redis(**_options: Any) -> list[CheckMessage]:
    """Check that tidewire's Redis accepts writes, and evicts nothing that has no expiry."""
    if not (getattr(settings, "TIDEWIRE", None) or {}).get("REDIS_URL"):
        return []
    options = tidewire_settings()
    if options.REDIS_SENTINELS:
        return []
    seconds = {"socket_timeout": REDIS_SECONDS, "socket_connect_timeout": REDIS_SECONDS}
    try:
        with redis.Redis.from_url(options.REDIS_URL, **seconds) as client:
            client.set(f"{options.PREFIX}:{PROBE_KEY}", "1", ex=1)
            policy = _eviction_policy(client)
    except (ResponseError, AuthenticationError) as error:
        return [
            Error(
                f"TIDEWIRE['REDIS_URL']: Redis refused a write ({type(error).__name__}: {error}).",
                hint=f"It must be a primary, and its user must be allowed to write keys below PREFIX. {PAGE}",
                id="tidewire.E006",
            )
        ]
    except RedisError:
        # Where the check runs, as in a build, Redis may be out of reach.
        return []
    if policy is not None and policy.startswith("allkeys-"):
        return [
            Warning(
                f"TIDEWIRE['REDIS_URL']: with maxmemory-policy {policy} Redis may evict positions and presence.",
                hint=f"Set maxmemory-policy noeviction, or use another Redis for the cache. {PAGE}",
                id="tidewire.W007",
            )
        ]
    return []


def _eviction_policy(client: "redis.Redis") -> str | None:
    try:
        facts: Any = client.info("memory")
    except ResponseError:
        # INFO is often forbidden to applications, which tidewire does not need.
        return None
    return facts.get("maxmemory_policy") if facts.get("maxmemory") else None
