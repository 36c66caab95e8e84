"""The dashboard's sockets on a node in memory, with a clock that jumps, two documents and no database."""

import pytest

from tests.unit.tidewire.conftest import configure, here, pytest_asyncio_loop_factories
from ws import consumers

__all__ = ["configure", "here", "pytest_asyncio_loop_factories"]


@pytest.fixture(autouse=True)
def documents(monkeypatch):
    """The slugs of existing documents."""
    slugs = {"plan", "notes"}

    async def exists(slug: str) -> bool:
        return slug in slugs

    monkeypatch.setattr(consumers, "_exists", exists)
    return slugs
