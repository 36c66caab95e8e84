"""The objects that the garbage collector of a ws process examines."""

import gc

import pytest

from tidewire.server.garbage_collection import freeze_startup_objects


@pytest.fixture(autouse=True)
def _thawed():
    yield
    gc.unfreeze()


def test_what_was_loaded_is_out_of_sight():
    """The collector examines only objects that are created later."""
    loaded = [[] for _ in range(1000)]
    freeze_startup_objects()
    assert gc.get_freeze_count() > 1000
    seen = {id(each) for each in gc.get_objects()}
    assert not any(id(each) in seen for each in loaded)
    come = []
    assert any(each is come for each in gc.get_objects())
