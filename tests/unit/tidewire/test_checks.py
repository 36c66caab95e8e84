"""System checks: each finds the setting that fails in production, and is silent where it is right."""

import pytest
import redis
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.checks.registry import registry
from django.urls import path
from redis.exceptions import AuthenticationError, NoPermissionError, ReadOnlyError
from redis.exceptions import ConnectionError as RedisConnectionError

from tidewire import checks
from tidewire.auth.origin import OriginCheck

MEMORY = "channels.layers.InMemoryChannelLayer"
CORE = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
GOOD_HOST = {"address": "redis://a", "socket_timeout": None, "max_connections": 100}
ROUTES = URLRouter([path("", AsyncWebsocketConsumer.as_asgi())])


def found(messages):
    assert all(message.hint.endswith(checks.PAGE) for message in messages)
    return [message.id.removeprefix("tidewire.") for message in messages]


def test_the_checks_run_with_deploy_only():
    ours = {checks.check_layers, checks.check_origin, checks.check_databases, checks.check_redis}
    assert ours <= set(registry.deployment_checks)
    assert not ours & set(registry.registered_checks)


@pytest.mark.parametrize(
    ("layer", "version", "ids"),
    [
        ({"BACKEND": MEMORY}, (8, 0), ["W001"]),
        ({"BACKEND": CORE, "CONFIG": {"hosts": [("a", 6379)]}}, (8, 0), ["W002", "W003"]),
        ({"BACKEND": PUBSUB, "CONFIG": {"hosts": ["redis://a"]}}, (8, 0), ["W002", "W003"]),
        ({"BACKEND": PUBSUB}, (8, 0), ["W002", "W003"]),
        ({"BACKEND": CORE, "CONFIG": {"hosts": [GOOD_HOST]}}, (8, 0), []),
        ({"BACKEND": CORE, "CONFIG": {"hosts": [GOOD_HOST, GOOD_HOST | {"socket_timeout": 3}]}}, (8, 0), ["W002"]),
        ({"BACKEND": CORE, "CONFIG": {"hosts": [("a", 6379)]}}, (7, 4), []),
        ({"BACKEND": "another.Layer"}, (8, 0), []),
    ],
)
def test_channel_layers(settings, monkeypatch, layer, version, ids):
    monkeypatch.setattr(redis, "VERSION", version)
    settings.CHANNEL_LAYERS = {"default": layer}
    assert found(checks.check_layers()) == ids


def with_function(application):
    async def middleware(scope, receive, send):
        await application(scope, receive, send)

    return middleware


@pytest.mark.parametrize(
    ("websocket", "ids"),
    [
        (ROUTES, ["W004"]),
        (AuthMiddlewareStack(ROUTES), ["W004"]),
        (AllowedHostsOriginValidator(ROUTES), []),
        (OriginCheck(ROUTES), []),
        (AuthMiddlewareStack(AllowedHostsOriginValidator(ROUTES)), []),
        # It may check the origin.
        (with_function(ROUTES), []),
    ],
)
def test_the_origin(settings, monkeypatch, websocket, ids):
    settings.ASGI_APPLICATION = "project.asgi.application"
    monkeypatch.setattr(checks, "get_default_application", lambda: ProtocolTypeRouter({"websocket": websocket}))
    assert found(checks.check_origin()) == ids


@pytest.mark.parametrize("application", [None, "no.such.application"])
def test_an_application_that_cannot_be_had_is_no_finding(settings, application):
    settings.ASGI_APPLICATION = application
    assert checks.check_origin() == []


@pytest.mark.parametrize(
    ("options", "ids"),
    [({}, ["W005"]), ({"transaction_mode": "DEFERRED"}, ["W005"]), ({"transaction_mode": "IMMEDIATE"}, [])],
)
def test_sqlite(monkeypatch, options, ids):
    databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": options}}
    monkeypatch.setattr(checks.settings, "DATABASES", databases | {"other": {"ENGINE": "another"}})
    assert found(checks.check_databases()) == ids


class FakeRedis:
    def __init__(self, write_error=None, info_error=None, **memory):
        self.write_error, self.info_error, self.memory = write_error, info_error, memory

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    def set(self, *_arguments, **_options):
        if self.write_error:
            raise self.write_error

    def info(self, _section):
        if self.info_error:
            raise self.info_error
        return self.memory


@pytest.mark.parametrize(
    ("fake", "ids"),
    [
        (FakeRedis(maxmemory=0, maxmemory_policy="allkeys-lru"), []),
        (FakeRedis(maxmemory=10**9, maxmemory_policy="noeviction"), []),
        (FakeRedis(maxmemory=10**9, maxmemory_policy="allkeys-lru"), ["W007"]),
        (FakeRedis(info_error=NoPermissionError("no INFO")), []),
        (FakeRedis(NoPermissionError("no keys")), ["E006"]),
        (FakeRedis(ReadOnlyError("a replica")), ["E006"]),
        (FakeRedis(AuthenticationError("a password")), ["E006"]),
        (FakeRedis(RedisConnectionError("out of reach")), []),
    ],
)
def test_redis(monkeypatch, fake, ids):
    monkeypatch.setattr(checks.redis.Redis, "from_url", lambda *_url, **_options: fake)
    assert found(checks.check_redis()) == ids


def test_a_project_without_a_redis_of_tidewire_is_not_checked(settings):
    settings.TIDEWIRE = {"ADOPT": False}
    assert checks.check_redis() == []
