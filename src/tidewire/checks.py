"""Django's system checks: settings that work on a laptop and fail in production.

`manage.py check` runs those of the settings, and `manage.py check --deploy` also those that ask Redis and the database.
`docs/checks.md` has a section for each.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register  # noqa: A004  # Django's name
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, connections
from django.utils.module_loading import import_string
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from tidewire import key_fingerprint
from tidewire.auth.wrappers import checks_origin, is_origin_check, wrappers
from tidewire.conf import settings
from tidewire.redis.keys import Keys

PAGE = "See docs/checks.md, {}."
MEMORY_LAYER = "channels.layers.InMemoryChannelLayer"
CORE_LAYER = "channels_redis.core.RedisChannelLayer"
TICKETS = "tidewire.auth.pages.TicketMiddleware"
# Applications with a `runserver` of their own; the first in INSTALLED_APPS wins.
RUNSERVERS = ("django.contrib.staticfiles", "daphne")
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
# A relay polls every few seconds; a row that waited for this long has no publisher.
RELAY_SECONDS = 60
REDIS_SECONDS = 2.0


def _message(kind: type[Error | Warning | Info], number: str, text: str, hint: str) -> CheckMessage:
    return kind(text, hint=f"{hint} {PAGE.format(number)}", id=f"tidewire.{number}")


# ruff: noqa: ARG001  # Django passes the applications to each check by this name
@register(Tags.compatibility)
def check_layers(app_configs: Sequence[AppConfig] | None = None, **_options: Any) -> list[CheckMessage]:
    """Return the problems of CHANNEL_LAYERS that always matter."""
    problems = []
    if not getattr(django_settings, "CHANNEL_LAYERS", None):
        problems.append(
            _message(
                Error,
                "E001",
                "settings.CHANNEL_LAYERS is missing, so that events reach no process.",
                'Set CHANNEL_LAYERS["default"] to tidewire.layers.RedisChannelLayer with its hosts.',
            )
        )
    problems += [
        _message(
            Warning,
            "W002",
            f"CHANNEL_LAYERS[{name!r}] reads with the socket timeout of redis-py 8 (5 s), which closes idle sockets.",
            'Give each host a "socket_timeout": None, or use tidewire.layers.RedisChannelLayer.',
        )
        for name, layer in _layers().items()
        if layer.get("BACKEND") == CORE_LAYER and _major("redis") >= 8 and _has_default_timeout(layer)
    ]
    return problems


@register(Tags.security)
def check_middleware(app_configs: Sequence[AppConfig] | None = None, **_options: Any) -> list[CheckMessage]:
    """Return a problem if the middleware of tickets cannot read the user."""
    middleware = list(django_settings.MIDDLEWARE)
    if TICKETS not in middleware:
        return []
    before = middleware[: middleware.index(TICKETS)]
    if not before or not _is_authentication(before[-1]):
        return [
            _message(
                Error,
                "E014",
                f"{TICKETS} does not stand directly behind {AUTHENTICATION}.",
                "Move it there: it reads the user, and must do so before other middleware can change the session.",
            )
        ]
    return []


def _is_authentication(path: str) -> bool:
    if path == AUTHENTICATION:
        return True
    try:
        kind = import_string(path)
    except Exception:  # noqa: BLE001  # Django names it when the server starts
        return False
    return isinstance(kind, type) and issubclass(kind, import_string(AUTHENTICATION))


@register(Tags.database)
def check_sqlite(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **_options: Any,
) -> list[CheckMessage]:
    """Return a warning for each SQLite database with deferred transactions."""
    return [
        _message(
            Warning,
            "W003",
            f"DATABASES[{name!r}] is a SQLite with deferred transactions: of two writers one fails at once with "
            "'database is locked'.",
            'Set "OPTIONS": {"transaction_mode": "IMMEDIATE"}, or use PostgreSQL.',
        )
        for name in databases or ()
        if connections[name].vendor == "sqlite" and _begins_deferred(connections[name].settings_dict)
    ]


@register(Tags.staticfiles)
def check_static_files(app_configs: Sequence[AppConfig] | None = None, **_options: Any) -> list[CheckMessage]:
    """Return a warning if `client.js` gets a hashed name, but imports its modules by names without a hash.

    After an upgrade a browser would load the new `client.js`, and could use modules of its cache: those of the previous
    release may lack an export, which stops all scripts of the page.
    """
    if not apps.is_installed("django.contrib.staticfiles"):
        return []
    # Imported late: the module needs settings, and only this check needs the module.
    from django.contrib.staticfiles.storage import HashedFilesMixin  # noqa: PLC0415

    try:
        name = django_settings.STORAGES["staticfiles"]["BACKEND"]
        # The class only: an instance may need a STATIC_ROOT, or the password of a bucket, that a check has not.
        storage = import_string(name)
    except Exception:  # noqa: BLE001  # Django names it when a page needs a static file
        return []
    hashes_all = getattr(storage, "support_js_module_import_aggregation", False)
    if not (isinstance(storage, type) and issubclass(storage, HashedFilesMixin)) or hashes_all:
        return []
    return [
        _message(
            Warning,
            "W015",
            f"{name} hashes the name of client.js, but not the names of the modules that it imports.",
            "Set support_js_module_import_aggregation = True in a subclass of it, and name that in STORAGES.",
        )
    ]


@register(Tags.staticfiles)
def check_runserver(app_configs: Sequence[AppConfig] | None = None, **_options: Any) -> list[CheckMessage]:
    """Return a warning if `manage.py runserver` is another application's command, which may serve no sockets."""
    if not getattr(django_settings, "ASGI_APPLICATION", None):
        return []
    names = [application.name for application in apps.get_app_configs()]
    before = [name for name in names[: names.index("tidewire")] if name in RUNSERVERS]
    if not before:
        return []
    return [
        _message(
            Warning,
            "W016",
            f"tidewire stands behind {before[0]} in INSTALLED_APPS, whose runserver is used instead of tidewire's.",
            'Move "tidewire" before it.',
        )
    ]


@register(Tags.security, deploy=True)
def check_deployment(app_configs: Sequence[AppConfig] | None = None, **_options: Any) -> list[CheckMessage]:
    """Return the problems of a deployment with several processes: the layer and the origin check."""
    problems = [
        _message(
            Warning,
            "W004",
            f"CHANNEL_LAYERS[{name!r}] is in memory: an event reaches only the process that sends it.",
            "Use tidewire.layers.RedisChannelLayer.",
        )
        for name, layer in _layers().items()
        if layer.get("BACKEND") == MEMORY_LAYER
    ]
    problems += _check_origin()
    return problems


@register("services", deploy=True)
def check_services(app_configs: Sequence[AppConfig] | None = None, **_options: Any) -> list[CheckMessage]:
    """Return the problems of Redis and of the outbox, which are asked for them."""
    return [*_check_redis(), *_check_outbox()]


def _check_origin() -> Iterator[CheckMessage]:
    path = getattr(django_settings, "ASGI_APPLICATION", None)
    if not path:
        return
    try:
        application = import_string(path)
    except Exception as error:  # noqa: BLE001  # the module runs code of the project
        why = f"{type(error).__name__}: {error}"
        yield _message(Error, "E005", f"settings.ASGI_APPLICATION cannot be imported ({why}).", "Correct the module.")
        return
    outer = list(wrappers(application))
    if any(map(is_origin_check, outer)):
        return
    mapping: Mapping[str, Any] = next(
        (each.application_mapping for each in outer if hasattr(each, "application_mapping")), {}
    )
    websocket = mapping.get("websocket")
    if websocket is None or checks_origin(websocket):
        return
    yield _message(
        Warning,
        "W006",
        "The websocket application has no origin check: a page of any other site can open a socket with the cookies of "
        "your users.",
        "Wrap it in tidewire.auth.origin.OriginCheck, or in channels.security.websocket.AllowedHostsOriginValidator.",
    )


def _check_redis() -> Iterator[CheckMessage]:
    try:
        options = settings()
    except ImproperlyConfigured as error:
        yield _message(Error, "E007", f"{error}.", "Correct the setting.")
        return
    if options.REDIS_SENTINELS:
        # The primary changes; a check of one server would not describe the next one.
        return
    redis = Redis.from_url(options.REDIS_URL, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
    config = _layers().get(options.CHANNEL_LAYER, {}).get("CONFIG")
    prefix = config.get("prefix", "asgi") if isinstance(config, dict) else "asgi"
    try:
        yield from _check_writes(redis, f"{options.PREFIX}:check", prefix)
        yield from _check_eviction(redis)
        yield from _check_keys(redis, Keys(options.PREFIX))
    except (RedisError, OSError) as error:
        yield _message(
            Warning,
            "W008",
            f"Redis is unavailable ({type(error).__name__}), so its settings were not checked.",
            "Start Redis, or correct REDIS_URL.",
        )
    finally:
        redis.close()


def _check_writes(redis: Redis, key: str, layer_prefix: str) -> Iterator[CheckMessage]:
    for command in (
        ("SET", key, "1", "PX", 1000),
        ("XADD", key, "*", "a", "b"),
        ("PUBLISH", f"{layer_prefix}__group__{key}", ""),
    ):
        try:
            redis.delete(key)
            redis.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has no types here
            redis.delete(key)
        except NoPermissionError as error:
            yield _message(
                Error,
                "E009",
                f"The Redis user of REDIS_URL may not use {command[0]}: {error}.",
                "Allow the commands of deploy/compose/redis.acl.",
            )


def _check_eviction(redis: Redis) -> Iterator[CheckMessage]:
    try:
        policy = redis.info("memory").get("maxmemory_policy", "noeviction")
    except NoPermissionError:
        yield _message(
            Info, "I010", "The Redis user may not use INFO, so the eviction policy is unknown.", "Set noeviction."
        )
        return
    if policy != "noeviction":
        yield _message(
            Warning,
            "W011",
            f"Redis evicts keys (maxmemory-policy {policy}): events and presence can disappear without an error.",
            "Set maxmemory-policy noeviction, or use a Redis of its own for caches.",
        )


def _check_keys(redis: Redis, keys: Keys) -> Iterator[CheckMessage]:
    try:
        seconds, _ = redis.time()
        names: Any = redis.zrangebyscore(keys.nodes, seconds * 1000, "+inf")
    except NoPermissionError:
        # The commands that matter were checked before.
        return
    differing, known = key_fingerprint.others([name.decode() for name in names])
    if differing:
        yield _message(
            Warning,
            "W017",
            f"{differing} of {known} ws nodes have another SECRET_KEY than this process: they refuse its sessions and "
            "tickets.",
            "Give all processes the same SECRET_KEY, and restart those that started with another.",
        )


def _check_outbox() -> Iterator[CheckMessage]:
    from tidewire.publishing.outbox import oldest  # noqa: PLC0415  # models need the app registry

    try:
        row = oldest()
    except (DatabaseError, ImproperlyConfigured) as error:
        yield _message(
            Warning,
            "W012",
            f"The outbox cannot be read ({type(error).__name__}), so it is unknown whether a relay runs.",
            "Run manage.py migrate.",
        )
        return
    finally:
        connection.close()
    if row is not None and row[1] > RELAY_SECONDS:
        yield _message(
            Warning,
            "W013",
            f"An event has waited in the outbox for {row[1]:.0f} s: nothing publishes the rows that pages leave.",
            "Run manage.py relay as a service of its own.",
        )


def _layers() -> dict[str, dict[str, Any]]:
    layers = getattr(django_settings, "CHANNEL_LAYERS", None)
    return (
        {name: layer for name, layer in layers.items() if isinstance(layer, dict)} if isinstance(layers, dict) else {}
    )


def _begins_deferred(database: Mapping[str, Any]) -> bool:
    mode = (database.get("OPTIONS") or {}).get("transaction_mode") or "DEFERRED"
    return str(mode).upper() not in ("IMMEDIATE", "EXCLUSIVE")


def _has_default_timeout(layer: dict[str, Any]) -> bool:
    config = layer.get("CONFIG")
    hosts = config.get("hosts") if isinstance(config, dict) else None
    if not isinstance(hosts, list | tuple) or not hosts:
        hosts = [None]
    return any(not (isinstance(host, dict) and "socket_timeout" in host) for host in hosts)


def _major(package: str) -> int:
    return int(version(package).partition(".")[0])
