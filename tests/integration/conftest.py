"""All tests of this directory need the real stack."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.postgres import ROLE, Postgres, why_not


@pytest.fixture(scope="session")
def cookies(stack):
    """The users of the demo, logged in, as name -> Cookie header."""
    return stack.cookies


@pytest.fixture(scope="session")
def postgres() -> Iterator[dict[str, Any]]:
    """A PostgreSQL for the tests, as a database of Django's settings."""
    # Without PostgreSQL the other tests run, and the reason of the skip names the missing program.
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
