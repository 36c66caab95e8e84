"""All of this directory needs the real stack."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.postgres import ROLE, Postgres, why_not


@pytest.fixture(scope="session")
def cookies(stack):
    """The demo's users, logged in: name -> Cookie header."""
    return stack.cookies


@pytest.fixture(scope="session")
def postgres() -> Iterator[dict[str, Any]]:
    """A PostgreSQL of the tests' own, as Django is told of it."""
    # A machine without PostgreSQL runs all the rest, and says why not this.
    if reason := why_not():
        pytest.skip(reason)
    with Postgres() as server:
        yield {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": ROLE,
            "HOST": "127.0.0.1",
            "PORT": str(server.port),
        }
