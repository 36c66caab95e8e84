"""Django's setting TIDEWIRE: a value of another type stops the start, and all of them are named."""

import math

import pytest
from django.core.exceptions import ImproperlyConfigured

from tidewire import conf

LIBRARY = {
    "REDIS_URL": ["h", "redis://:hunter2#@h", "redis:///0", 6379, b"redis://h", "redis://h?max_connections=1"],
    "REDIS_SENTINELS": ["redis:26379", ["redis"], [("redis", 26379)], None],
    "REDIS_SENTINEL_PASSWORD": [None, 1],
    "ALLOWED_ORIGINS": [
        "https://docs.example.com",
        ["docs.example.com"],
        ["*"],
        None,
        {"https://a"},
        ["https://a.example/b"],
    ],
    "LEASE_SECONDS": ["10", math.nan, math.inf, 0, -1, None, True, 1e300],
    "CHECK_SECONDS": [0, 1e-9, "1s", False],
    "DRAIN_SECONDS": [-1, math.nan, "30"],
    "TICKET_SECONDS": [0, 900.5, "900"],
    "MAX_BACKLOG_BYTES": ["256K", 262144.5, 0, -1, None, True, 1],
    "MESSAGES_PER_SECOND": [0, "10", 31],
    "HISTORY_LENGTH": [0, "1000", 2**40],
    "CONNECTIONS_PER_NODE": ["10000", 0, 1.5],
    "ADMIN_PORT": [-1, 65536, "8300", None],
    "ADMIN_HOST": ["", "localhost:8300", "http://localhost", None],
    "NODE_NAME": ["", "a b", None, "a" * 101],
    "PREFIX": ["", "a:b", "a b", "a*"],
    "PRESENCE_INDEXES": [[("document", "documents")], {"document": 1}, "document"],
    "REDIS_MASTER": ["", None],
    "CHANNEL_LAYER": [None, 1],
}


@pytest.fixture
def library(settings):
    """The library's settings, read from these settings of a project."""

    def read(**changed: object) -> conf.Settings:
        settings.TIDEWIRE = {"REDIS_URL": "redis://h"} | changed
        return conf.settings()

    conf.settings.cache_clear()
    yield read
    conf.settings.cache_clear()


@pytest.mark.parametrize(("name", "value"), [(name, each) for name, values in LIBRARY.items() for each in values])
def test_a_setting_of_another_type_stops_the_start(library, name, value):
    """ALLOWED_ORIGINS="https://docs.example.com" became a tuple of characters, and every socket was refused."""
    with pytest.raises(ImproperlyConfigured, match=name) as refused:
        library(**{name: value})
    assert "hunter2" not in str(refused.value)


def test_a_list_is_as_good_as_a_tuple_and_a_whole_number_as_a_float(library):
    """Django's own settings are lists, and 20 is a number of seconds."""
    library_settings = library(
        ALLOWED_ORIGINS=["HTTPS://Docs.Example.com/"], LEASE_SECONDS=20, PRESENCE_INDEXES={"document": "documents"}
    )
    assert (library_settings.ALLOWED_ORIGINS, library_settings.LEASE_SECONDS) == (("https://docs.example.com",), 20.0)


def test_every_wrong_setting_is_named_at_once(library):
    """An operator should not have to start three times to find three mistakes."""
    with pytest.raises(ImproperlyConfigured) as refused:
        library(LEASE_SECONDS="10", ALLOWED_ORIGINS="https://a", ADMIN_PORT=70000)
    assert {"LEASE_SECONDS", "ALLOWED_ORIGINS", "ADMIN_PORT"} <= set(str(refused.value).replace(":", "").split())
