"""The streams and the layer in memory keep the guarantees of those in Redis."""

import pytest

from tests.unit.tidewire.fanout.test_hub import Layer
from tests.unit.tidewire.layer_suite import LayerSuite
from tests.unit.tidewire.streams.streams_suite import StreamsSuite
from tidewire.testing import MemoryStreams


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


class TestMemoryLayer(LayerSuite):
    @pytest.fixture
    def layer(self):
        return Layer()
