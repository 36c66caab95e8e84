"""Tests of a project: sockets, topics and presence without Redis, a clock to move, and a live server.

Its parts stand in for Redis, for a browser, or for Django's live server; no setting reaches them. Each store passes the
same tests as its counterpart in Redis. `docs/testing.md` has an example of each.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

from tidewire.testing.edit_leases import MemoryEditLeases
from tidewire.testing.live_server import TidewireServerMixin
from tidewire.testing.presence import MemoryPresence
from tidewire.testing.sockets import MemorySocket
from tidewire.testing.streams import MemoryStreams

if TYPE_CHECKING:
    from tidewire.testing.node import MemoryNode
    from tidewire.testing.published import PublishedEvents

__all__ = [
    "MemoryEditLeases",
    "MemoryNode",
    "MemoryPresence",
    "MemorySocket",
    "MemoryStreams",
    "PublishedEvents",
    "TidewireServerMixin",
]


# Read the outbox, which is a model of the app.
_PARTS_OF_APP = {"MemoryNode": "node", "PublishedEvents": "published"}


def __getattr__(name: str) -> Any:
    """Import a part that needs the app when it is used."""
    if name not in _PARTS_OF_APP:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not apps.is_installed("tidewire"):
        raise ImproperlyConfigured(f'tidewire.testing.{name} needs "tidewire" in INSTALLED_APPS of the tests')
    return getattr(import_module(f"{__name__}.{_PARTS_OF_APP[name]}"), name)
