"""The streams that other tests have in memory keep what those in Redis promise."""

import pytest

from tests.unit.tidewire.fakes import MemoryStreams
from tests.unit.tidewire.streams_suite import StreamsSuite


class Streams(MemoryStreams):
    length = 100

    def __init__(self) -> None:
        super().__init__(length=self.length)

    async def flush(self) -> None:
        super().flush()


class TestMemoryStreams(StreamsSuite):
    @pytest.fixture
    def streams(self):
        return Streams()
