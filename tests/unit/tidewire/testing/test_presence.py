"""Presence in memory keeps the guarantees of presence."""

import pytest
from hypothesis import given, settings

from tests.unit.tidewire.fakes import finish
from tests.unit.tidewire.presence.presence_model import Model, scripts
from tests.unit.tidewire.presence.presence_suite import (
    GRACE_SECONDS,
    LEASE_SECONDS,
    PRESENCE_INDEXES,
    Place,
    PresenceSuite,
)
from tidewire.presence import PresenceKey
from tidewire.testing import MemoryPresence


class Memory(Place):
    def __init__(self) -> None:
        super().__init__()
        self.clock = 1000.0
        self.presence = self._empty()

    async def now(self) -> float:
        return self.clock

    async def pass_time(self, seconds: float) -> None:
        self.clock += seconds

    async def next_moment(self) -> None:
        self.clock += 0.001

    async def flush(self) -> None:
        self.presence.__dict__.update(self._empty().__dict__)

    def _empty(self) -> MemoryPresence:
        return MemoryPresence(
            lease_seconds=LEASE_SECONDS, grace_seconds=GRACE_SECONDS, indexes=PRESENCE_INDEXES, clock=lambda: self.clock
        )


class TestMemoryPresence(PresenceSuite):
    @pytest.fixture
    def place(self):
        return Memory()


def test_a_hold_is_read_back_from_its_key():
    """The key represents the whole entry, for any name of a member."""
    for key in (
        PresenceKey("doc.plan", "read", "ada"),
        PresenceKey("users", "online", "a|b|"),
        PresenceKey("t", "p", ""),
    ):
        assert PresenceKey.parse(key.text) == key


@settings(max_examples=200, deadline=None)
@given(scripts)
def test_members_are_who_is_connected(script):
    """Nodes start, pause, die and return, users come and go: no member is missing, and none is a ghost."""
    finish(Model(Memory()).play(script))
