"""A message of the product that lacks what the accounts need is the product's fault, and unreadable."""

import json

import pytest

from loadtest.run.message_cache import Message

EVENT = {"type": "order.paid", "id": "e1", "offset": 3, "at": "2026-12-01T00:00:00+00:00"}
RESUMED = {"type": "resumed", "at": "5f:3", "recovered": True}
DRAIN = {"type": "drain", "reconnect_in_seconds": 2}


def test_complete_messages_are_read():
    assert Message(json.dumps(EVENT).encode()).offset == 3
    assert all(Message(json.dumps(each).encode()).offset is None for each in (RESUMED, DRAIN))


@pytest.mark.parametrize(
    "event",
    [
        {**EVENT, "id": None},
        {**EVENT, "offset": "3"},
        {**EVENT, "offset": 0},
        {**RESUMED, "at": "somewhere"},
        {**RESUMED, "recovered": None},
        {**DRAIN, "reconnect_in_seconds": "soon"},
    ],
)
def test_message_that_lacks_a_value_is_unreadable(event):
    """It ended the client as a fault of the load test's own code, which the product was not blamed for."""
    event = {name: value for name, value in event.items() if value is not None}
    with pytest.raises((ValueError, LookupError, TypeError)):
        Message(json.dumps(event).encode())
