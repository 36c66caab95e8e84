"""FrameParser of a server are parsed correctly in chunks of any size, and invalid frames are refused."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from testkit import frame_parser
from testkit.frame_parser import FrameError, FrameParser


def serialized(*sent):
    return b"".join(Frame(opcode, body, fin=fin).serialize(mask=False) for opcode, body, fin in sent)


def fed(data, cuts=()):
    reader = FrameParser()
    frames, places = [], [0, *sorted(cuts), len(data)]
    for start, stop in itertools.pairwise(places):
        frames += reader.feed(data[start:stop])
    return frames


# Lengths around each change in the width of the length field.
bodies = st.one_of(st.binary(max_size=130), st.sampled_from([b"x" * 65535, b"y" * 65536]))


@given(st.lists(st.tuples(st.sampled_from([Opcode.TEXT, Opcode.BINARY]), bodies), max_size=5), st.data())
def test_every_message_comes_whole_however_the_stream_is_cut(sent, data):
    stream = serialized(*((opcode, body, True) for opcode, body in sent))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    assert fed(stream, cuts) == sent


@given(st.lists(st.binary(max_size=50), min_size=2, max_size=5), st.binary(max_size=100))
def test_message_in_parts_is_one_and_a_control_frame_may_come_between(parts, ping):
    first, *between, last = parts
    stream = serialized(
        (Opcode.TEXT, first, False),
        *((Opcode.CONT, part, False) for part in between),
        (Opcode.PING, ping, True),
        (Opcode.CONT, last, True),
        (Opcode.TEXT, b"next", True),
    )
    assert fed(stream) == [(Opcode.PING, ping), (Opcode.TEXT, b"".join(parts)), (Opcode.TEXT, b"next")]


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        # The mask is zero, because a random one would give the test another name in each process.
        (b"\x81\x81\0\0\0\0x", "never masked"),
        (b"\xc1\x01x", "first byte 0xc1: no extension"),
        (b"\x80\x01x", "opcode 0 outside a message"),
        (b"\x01\x01x\x81\x01y\x01\x01x\x01\x01y", "opcode 1 within a message"),
        (b"\x81\x7f" + (2**40).to_bytes(8, "big"), "a frame of 1099511627776 bytes"),
    ],
)
def test_what_no_server_may_send_is_refused(stream, why):
    with pytest.raises(FrameError, match=why):
        fed(stream)


def test_message_in_parts_is_bounded_too(monkeypatch):
    monkeypatch.setattr(frame_parser, "LONGEST_BYTES", 100)
    reader = FrameParser()
    reader.feed(serialized((Opcode.TEXT, b"x" * 60, False)))
    with pytest.raises(FrameError, match="more than 100 bytes"):
        reader.feed(serialized((Opcode.CONT, b"x" * 60, False)))
