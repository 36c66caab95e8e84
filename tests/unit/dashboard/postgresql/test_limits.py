"""Limits on waits for PostgreSQL, as the options of a connection."""

import pytest
from psycopg.conninfo import make_conninfo

from dashboard.postgresql.limits import OPTION, options


def limited(given=None, *, connect_seconds=3, statement_seconds=5.0):
    return options(given or {}, connect_seconds=connect_seconds, statement_seconds=statement_seconds)


def test_every_wait_has_a_limit():
    limits = limited()
    assert limits["connect_timeout"] == 3
    assert limits["options"] == "-c statement_timeout=5000"
    # The server, then TCP, then the client: each catches a failure that the one before cannot.
    assert limits["tcp_user_timeout"] == limits[OPTION] * 1000 == 6000


def test_the_client_library_knows_them():
    make_conninfo(**{name: value for name, value in limited().items() if name != OPTION})


@pytest.mark.parametrize(
    ("name", "value"), [("connect_timeout", "30"), ("tcp_user_timeout", "9000"), ("keepalives_idle", "60")]
)
def test_an_option_of_the_url_has_priority(name, value):
    assert limited({name: value, "sslmode": "require"})[name] == value


def test_the_servers_own_options_are_kept_and_the_last_one_applies():
    given = {"options": "-c search_path=docs -c statement_timeout=9000"}
    assert limited(given)["options"] == "-c statement_timeout=5000 -c search_path=docs -c statement_timeout=9000"


def test_without_a_limit_for_statements_connecting_still_has_one():
    """A migration may take an hour, and must not wait for an hour to connect."""
    limits = limited(statement_seconds=0)
    assert limits["connect_timeout"] == 3
    assert {"options", "tcp_user_timeout", OPTION}.isdisjoint(limits)
