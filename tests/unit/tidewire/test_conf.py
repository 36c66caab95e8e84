"""The library's settings: an invalid value stops the start with a message that names it."""

import os

import pytest
from django.core.exceptions import ImproperlyConfigured

from tidewire import conf
from tidewire.conf import Settings

GIVEN = {"REDIS_URL": "redis://127.0.0.1:1/0"}


@pytest.fixture
def read(settings):
    """Return a function that reads a project's settings as the library does."""

    def read(value: object) -> Settings:
        settings.TIDEWIRE = value
        return conf.settings()

    conf.settings.cache_clear()
    yield read
    conf.settings.cache_clear()


def test_what_is_not_given_has_a_default(read):
    """A project must set its Redis, and may set anything else."""
    settings_read = read(GIVEN | {"LEASE_SECONDS": 20.0})
    assert settings_read.LEASE_SECONDS == 20.0
    assert settings_read.GRACE_SECONDS == 3.0


def test_a_server_needs_no_settings(settings):
    """Nor a Redis: a stock project has neither."""
    conf.server_settings.cache_clear()
    try:
        del settings.TIDEWIRE
        assert conf.server_settings().ADOPT
        conf.server_settings.cache_clear()
        settings.TIDEWIRE = {"DRAIN_SECONDS": 5.0}
        assert conf.server_settings().DRAIN_SECONDS == 5.0
        conf.server_settings.cache_clear()
        settings.TIDEWIRE = {"DRAIN_SECOND": 5.0}
        with pytest.raises(ImproperlyConfigured, match=r"unknown \['DRAIN_SECOND'\]"):
            conf.server_settings()
    finally:
        conf.server_settings.cache_clear()


def test_a_node_has_a_name_of_its_own(read):
    """Two nodes of one name would share a lease, so that each ends the presence of the other."""
    names = {Settings(**GIVEN).NODE_NAME for _ in range(10)}
    assert len(names) > 1
    assert all(str(os.getpid()) in name for name in names)


def test_settings_are_read_once(read):
    """Later changes of the dict have no effect."""
    assert read(GIVEN) is read({})


def test_an_unknown_name_is_refused(read):
    """The message names the misspelt setting and all known ones."""
    with pytest.raises(ImproperlyConfigured, match=r"unknown \['LEASE_SECOND'\]; known are \[.*'LEASE_SECONDS'"):
        read(GIVEN | {"LEASE_SECOND": 20.0})


@pytest.mark.parametrize("values", [{}, {"REDIS_URL": ""}, {"REDIS_URL": None}])
def test_a_missing_url_is_refused(read, values):
    """There is no default Redis."""
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL is missing"):
        read(values)


@pytest.mark.parametrize("values", [None, [], "redis://"])
def test_missing_settings_are_refused(read, values):
    """The message shows a minimal setting."""
    with pytest.raises(ImproperlyConfigured, match=r"TIDEWIRE is missing: set at least \{"):
        read(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"GRACE_SECONDS": 10.0}, "GRACE_SECONDS .10.0. runs inside the lease"),
        ({"GRACE_SECONDS": 8.0}, "TOUCH_SECONDS .1.0. must fit twice"),
        ({"TOUCH_SECONDS": 3.5}, "TOUCH_SECONDS .3.5. must fit twice"),
        ({"LEASE_SECONDS": 5.0}, "TOUCH_SECONDS .1.0. must fit twice"),
        ({"EDIT_LEASE_SECONDS": 3.0}, "must be below EDIT_LEASE_SECONDS .3.0."),
    ],
)
def test_what_does_not_add_up_is_refused(read, values, message):
    """The grace is part of the lease, and the node must be able to touch it twice in the rest."""
    with pytest.raises(ImproperlyConfigured, match=message):
        read(GIVEN | values)


def test_what_just_adds_up_is_taken(read):
    """A lease may be as short as its parts allow."""
    assert read(GIVEN | {"LEASE_SECONDS": 2.0, "GRACE_SECONDS": 1.0, "TOUCH_SECONDS": 0.4}).LEASE_SECONDS == 2.0
