"""All of this directory needs the real stack."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def cookies(stack):
    """The demo's users, logged in: name -> Cookie header."""
    return stack.sessions(*stack.users)
