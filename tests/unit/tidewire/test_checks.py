"""The system checks of settings: the problem that each finds, and the silence on good settings."""

import re
from types import SimpleNamespace

import pytest
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections
from django.urls import path

from deploy.local.layout import ROOT
from tidewire import checks
from tidewire.auth.origin import OriginCheck
from tidewire.auth.pages import TicketMiddleware
from tidewire.auth.sockets import TicketAuth

CORE = {"BACKEND": checks.CORE_LAYER, "CONFIG": {"hosts": ["redis://localhost"]}}
# An address that refuses each connection at once.
NO_REDIS = "redis://127.0.0.1:1/0"

bare = ProtocolTypeRouter({"websocket": URLRouter([])})
behind_channels = ProtocolTypeRouter({"websocket": AllowedHostsOriginValidator(URLRouter([]))})
behind_ours = ProtocolTypeRouter({"websocket": TicketAuth(OriginCheck(URLRouter([])))})
without_sockets = ProtocolTypeRouter({})


class Wrapper:
    """A middleware of all protocols, such as a monitoring product's."""

    def __init__(self, application):
        self.application = application


class Loop:
    """An application that names itself."""

    application_mapping = {"websocket": URLRouter([])}

    @property
    def application(self):
        return self


class OwnAuthentication(AuthenticationMiddleware):
    """A middleware of the project."""


wrapped = Wrapper(bare)
wrapped_behind_ours = Wrapper(behind_ours)
checked_outside = OriginCheck(bare)
loop = Loop()
each_route = ProtocolTypeRouter(
    {"websocket": URLRouter([path("a/", OriginCheck(bare)), path("b/", URLRouter([path("c/", OriginCheck(bare))]))])}
)
one_route = ProtocolTypeRouter({"websocket": URLRouter([path("a/", OriginCheck(bare)), path("b/", URLRouter([]))])})


def ids(problems):
    return [problem.id.removeprefix("tidewire.") for problem in problems]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ({}, ["E001"]),
        (None, ["E001"]),
        ({"default": CORE}, ["W002"]),
        ({"default": CORE | {"CONFIG": {}}}, ["W002"]),
        ({"default": CORE | {"CONFIG": ["redis://localhost"]}}, ["W002"]),
        ({"default": CORE | {"CONFIG": {"hosts": 7}}}, ["W002"]),
        ({"default": CORE | {"CONFIG": {"hosts": [{"address": "redis://localhost", "socket_timeout": None}]}}}, []),
        ({"default": {"BACKEND": "tidewire.layers.RedisChannelLayer"}}, []),
        ({"default": {"BACKEND": checks.MEMORY_LAYER}}, []),
    ],
)
def test_layers(settings, monkeypatch, layers, expected):
    monkeypatch.setattr(checks, "_major", lambda _package: 8)
    settings.CHANNEL_LAYERS = layers
    assert ids(checks.check_layers()) == expected


def test_the_core_layer_is_good_with_an_older_redis_py(settings, monkeypatch):
    monkeypatch.setattr(checks, "_major", lambda _package: 7)
    settings.CHANNEL_LAYERS = {"default": CORE}
    assert checks.check_layers() == []


@pytest.mark.parametrize(
    ("engine", "options", "expected"),
    [
        ("sqlite3", {}, ["W003"]),
        ("sqlite3", None, ["W003"]),
        ("spatialite", {}, ["W003"]),
        ("sqlite3", {"transaction_mode": "IMMEDIATE"}, []),
        ("sqlite3", {"transaction_mode": "exclusive"}, []),
        ("postgresql", {}, []),
    ],
)
def test_sqlite(monkeypatch, engine, options, expected):
    default = connections["default"]
    database = default.settings_dict | {"ENGINE": f"django.db.backends.{engine}", "OPTIONS": options}
    monkeypatch.setattr(default, "settings_dict", database)
    monkeypatch.setattr(default, "vendor", "postgresql" if engine == "postgresql" else "sqlite")
    assert ids(checks.check_sqlite(databases=["default"])) == expected
    assert checks.check_sqlite(databases=None) == []


@pytest.mark.parametrize(
    ("application", "expected"),
    [
        ("bare", ["W006"]),
        ("behind_channels", []),
        ("behind_ours", []),
        ("wrapped", ["W006"]),
        ("wrapped_behind_ours", []),
        ("checked_outside", []),
        ("loop", ["W006"]),
        ("each_route", []),
        ("one_route", ["W006"]),
        ("without_sockets", []),
        ("missing", ["E005"]),
    ],
)
def test_the_origin_check(settings, application, expected):
    settings.ASGI_APPLICATION = f"{__name__}.{application}"
    assert ids(checks._check_origin()) == expected


def test_an_application_whose_module_fails_is_a_problem_and_no_crash(settings, monkeypatch):
    """The module runs code of the project: a missing variable of the environment is a KeyError."""

    def fail(_path):
        raise KeyError("SENTRY_DSN")

    monkeypatch.setattr(checks, "import_string", fail)
    settings.ASGI_APPLICATION = "project.asgi.application"
    [problem] = checks._check_origin()
    assert problem.id == "tidewire.E005"
    assert "KeyError: 'SENTRY_DSN'" in problem.msg


def test_a_project_without_a_database_is_a_problem_and_no_crash(monkeypatch):
    def fail():
        raise ImproperlyConfigured("settings.DATABASES is improperly configured.")

    monkeypatch.setattr("tidewire.publishing.outbox.oldest", fail)
    assert ids(checks._check_outbox()) == ["W012"]


def test_a_project_without_asgi_has_no_origin_to_check(settings):
    settings.ASGI_APPLICATION = None
    assert list(checks._check_origin()) == []


@pytest.mark.parametrize(
    ("middleware", "expected"),
    [
        ([], []),
        ([checks.AUTHENTICATION, checks.TICKETS, "a.B"], []),
        ([checks.TICKETS, checks.AUTHENTICATION], ["E014"]),
        ([checks.AUTHENTICATION, "a.B", checks.TICKETS], ["E014"]),
        ([checks.TICKETS], ["E014"]),
        ([f"{__name__}.OwnAuthentication", checks.TICKETS], []),
    ],
)
def test_the_middleware_of_tickets(settings, middleware, expected):
    settings.MIDDLEWARE = middleware
    assert ids(checks.check_middleware()) == expected


def test_tickets_without_the_app_that_revokes_them_are_refused(settings):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if not app.startswith("tidewire")]
    with pytest.raises(ImproperlyConfigured, match=r'needs "tidewire" in INSTALLED_APPS'):
        TicketMiddleware(lambda _request: None)


@pytest.mark.django_db
def test_a_deployment_in_memory_without_redis_is_named(settings, monkeypatch):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": checks.MEMORY_LAYER}}
    settings.TIDEWIRE = {"REDIS_URL": NO_REDIS}
    checks.settings.cache_clear()
    problems = ids([*checks.check_deployment(), *checks.check_services()])
    checks.settings.cache_clear()
    assert problems == ["W004", "W008"]


def test_a_wrong_setting_is_a_problem_and_no_crash(settings):
    settings.TIDEWIRE = {"REDIS_URL": "http://localhost"}
    checks.settings.cache_clear()
    [problem] = checks._check_redis()
    checks.settings.cache_clear()
    assert problem.id == "tidewire.E007"
    assert "REDIS_URL" in problem.msg


@pytest.mark.django_db
def test_the_project_itself_passes():
    problems = run_checks()
    assert [problem for problem in problems if problem.id.startswith("tidewire.")] == []
    call_command("check")


def test_the_page_has_a_section_for_each_check():
    checks_source = (ROOT / "src/tidewire/checks.py").read_text(encoding="utf-8")
    # The server's start has a warning of its own.
    server = (ROOT / "src/tidewire/server/daphne.py").read_text(encoding="utf-8")
    source = checks_source + re.sub(r"tidewire\.([EWI]0\d\d)", r'"\1"', server)
    page = (ROOT / "docs/checks.md").read_text(encoding="utf-8")
    # The server knows its own options, and warns of them itself.
    server = (ROOT / "src/tidewire/server/daphne.py").read_text(encoding="utf-8")
    found = {*re.findall(r'"([EWI]0\d\d)"', source), *re.findall(r"tidewire\.([EWI]0\d\d):", server)}
    numbers = sorted(found, key=lambda number: number[1:])
    assert re.findall(r"^## (\w+)", page, re.MULTILINE) == numbers


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["tidewire", "django.contrib.staticfiles", "daphne"], []),
        (["django.contrib.auth", "tidewire"], []),
        (["django.contrib.staticfiles", "tidewire"], ["W016"]),
        (["daphne", "tidewire", "django.contrib.staticfiles"], ["W016"]),
    ],
)
def test_an_application_whose_runserver_is_used_instead(settings, monkeypatch, names, expected):
    settings.ASGI_APPLICATION = "project.asgi.application"
    monkeypatch.setattr(checks.apps, "get_app_configs", lambda: [SimpleNamespace(name=name) for name in names])
    assert ids(checks.check_runserver()) == expected
    # A service of pages alone has no sockets to serve.
    del settings.ASGI_APPLICATION
    assert ids(checks.check_runserver()) == []
