"""A server's frame: every client must be able to parse the text from its bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.events import Pong
from tidewire.fanout.frames import frame, frame_event


def unframe(wire: bytes) -> str:
    """Parse a text frame as RFC 6455, section 5.2, defines it."""
    first, second = wire[:2]
    assert first == 0x81, "final, no extension, text"
    assert second < 0x80, "a server does not mask"
    length, head = second, 2
    if second == 126:
        [length], head = struct.unpack("!H", wire[2:4]), 4
        assert length > 125, "the shortest form is the only one allowed"
    elif second == 127:
        [length], head = struct.unpack("!Q", wire[2:10]), 10
        assert length > 65535, "the shortest form is the only one allowed"
    assert len(wire) == head + length
    return wire[head:].decode()


@given(length=st.integers(0, 70_000), letter=st.sampled_from("aé€😀"))
def test_a_frame_of_any_length_is_read_back(length, letter):
    """Each of the three length fields contains the number of bytes, not of characters."""
    text = (letter * length)[:70_000]
    text_frame = frame(text)
    assert text_frame.text == text
    assert unframe(text_frame.wire) == text


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_a_frame_at_the_edge_of_a_form_is_read_back(length):
    """Including the lengths at which the form of the length field changes."""
    assert unframe(frame("x" * length).wire) == "x" * length


@given(st.text())
def test_a_frame_of_any_text_is_read_back(text):
    """Text is encoded as UTF-8."""
    assert unframe(frame(text).wire) == text


def test_an_event_is_framed_as_its_json():
    """The text of the frame is the event's encoding."""
    assert unframe(frame_event(Pong()).wire) == '{"type":"pong"}'
