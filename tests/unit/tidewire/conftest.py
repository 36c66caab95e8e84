"""Unit tests of the library run on a clock that jumps, with memory in place of Redis."""

import asyncio
from collections.abc import Callable, Mapping

from tests.unit.tidewire.clock import JumpingLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"jumping": JumpingLoop}
