"""Positions of a socket's stream topics, parsed from its query: each belongs to one topic."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.fanout.positions import UNKNOWN_POSITION, Positions
from tidewire.topics import Position

STREAMS = {"talk", "room.1"}


def parse(query: bytes | None, *, limit: int = 16) -> Positions:
    return Positions.parse(query, STREAMS, limit=limit)


def test_each_topic_has_its_own_position():
    positions = parse(b"at=talk:5f:12&at=room.1:6a:3")
    assert positions.of("talk") == Position("5f", 12)
    assert positions.of("room.1") == Position("6a", 3)
    assert positions.error == ""


@pytest.mark.parametrize("query", [None, b"", b"other=1", b"att=talk:5f:12"])
def test_without_a_position_only_what_comes_is_wanted(query):
    positions = parse(query)
    assert (positions.of("talk"), positions.of("room.1"), positions.error) == (None, None, "")


def test_a_position_is_never_used_for_another_topic():
    positions = parse(b"at=talk:5f:12")
    assert positions.of("room.1") is None


@pytest.mark.parametrize("value", ["", "rubbish", "5f:12", ":", "::", "5f:talk:12", "\xff", "unknown:g:1", "a" * 5000])
def test_a_value_that_names_no_topic_leaves_each_topic_without_a_position_in_doubt(value):
    """For an old or broken page, events must not be skipped, and the client must receive the reason."""
    positions = parse(urlencode([("at", value), ("at", "talk:5f:12")]).encode())
    assert positions.of("talk") == Position("5f", 12)
    assert positions.of("room.1") == UNKNOWN_POSITION
    assert "<topic>:<epoch>:<offset>" in positions.error
    assert len(positions.error) < 150


@pytest.mark.parametrize("value", ["talk", "talk:", "talk:5f", "talk:5f:x", "talk:5f:-1", "talk:5f:1:1", "talk::1"])
def test_a_malformed_position_leaves_its_own_topic_in_doubt(value):
    positions = parse(urlencode([("at", value), ("at", "room.1:6a:3")]).encode())
    assert positions.of("talk") == UNKNOWN_POSITION
    assert positions.of("room.1") == Position("6a", 3)
    assert positions.error


def test_two_positions_on_one_topic_contradict_each_other():
    positions = parse(b"at=talk:5f:12&at=talk:5f:13&at=room.1:6a:3")
    assert positions.of("talk") == UNKNOWN_POSITION
    assert positions.of("room.1") == Position("6a", 3)
    assert positions.error == "at: two positions on talk"
    assert parse(b"at=talk:5f:12&at=talk:5f:12").of("talk") == Position("5f", 12)


def test_a_position_on_a_topic_that_the_socket_does_not_have_is_named_and_harmless():
    positions = parse(b"at=another:5f:12")
    assert (positions.of("talk"), positions.of("another")) == (None, None)
    assert positions.error == "at: 'another' is no stream topic of this socket"


def test_more_positions_than_allowed_are_all_in_doubt():
    query = urlencode([("at", f"topic-{number}:5f:1") for number in range(16)] + [("at", "talk:5f:12")]).encode()
    positions = parse(query)
    assert positions.of("talk") == positions.of("room.1") == UNKNOWN_POSITION
    assert positions.error == "at: 17 positions, 16 at most"


@given(st.lists(st.text() | st.sampled_from(["talk:5f:12", "room.1:6a:3", "talk:", "5f:12"]), max_size=20))
def test_any_text_gives_positions_or_doubt(values):
    """A client's text must not raise an exception, and a topic that it names must not be taken for a new one."""
    positions = parse(urlencode([("at", value) for value in values]).encode())
    assert positions.of("talk") in (None, Position("5f", 12), UNKNOWN_POSITION)
    if any(value.startswith("talk:") for value in values):
        assert positions.of("talk") is not None
