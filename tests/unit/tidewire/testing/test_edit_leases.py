"""Edit leases in memory keep the guarantees of edit leases."""

import pytest
from hypothesis import given, settings

from tests.unit.tidewire.contrib.edit_lease.edit_lease_model import LeaseModel, scripts
from tests.unit.tidewire.contrib.edit_lease.edit_lease_suite import (
    ANSWER_SECONDS,
    GRACE_SECONDS,
    LEASE_SECONDS,
    TOPIC,
    LeasePlace,
    LeaseSuite,
)
from tests.unit.tidewire.fakes import finish
from tidewire.testing import MemoryEditLeases, MemoryPresence


class Memory(LeasePlace):
    def __init__(self) -> None:
        self.clock = 1000.0
        self._start_empty()

    async def pass_time(self, seconds: float) -> None:
        self.clock += seconds

    async def flush(self) -> None:
        self._start_empty()

    async def version(self, topic: str = TOPIC) -> int:
        [version] = await self.presence.versions([topic])
        return version

    def _start_empty(self) -> None:
        self.presence = MemoryPresence(lease_seconds=10.0, grace_seconds=3.0, indexes={}, clock=lambda: self.clock)
        self.leases = MemoryEditLeases(
            lease_seconds=LEASE_SECONDS,
            answer_seconds=ANSWER_SECONDS,
            grace_seconds=GRACE_SECONDS,
            changed=self.presence.bump,
            clock=lambda: self.clock,
        )


class TestMemoryEditLeases(LeaseSuite):
    @pytest.fixture
    def place(self):
        return Memory()


@settings(max_examples=300, deadline=None)
@given(scripts)
def test_whoever_was_told_it_is_theirs_may_rely_on_it(script):
    """A member may lose the lease only by its expiry, by handing it over, or by not answering a request."""
    finish(LeaseModel(Memory()).play(script))
