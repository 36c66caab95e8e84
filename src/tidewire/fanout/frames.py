"""WebSocket frames, encoded once per event and written to many sockets. No I/O."""

import struct
from typing import NamedTuple, Protocol

_FINAL_TEXT = 0x81


class Encodable(Protocol):
    """An event, of which a frame needs only the text."""

    def encode(self) -> str:
        """Return the event as text."""


class Frame(NamedTuple):
    """A text message: as text for plain ASGI `send`, as wire bytes for a direct write."""

    text: str
    wire: bytes


def frame(text: str) -> Frame:
    """Encode a text as a server's frame: final, unmasked, uncompressed (RFC 6455, section 5.2)."""
    body = text.encode()
    length = len(body)
    if length < 126:
        head = struct.pack("!BB", _FINAL_TEXT, length)
    elif length < 65536:
        head = struct.pack("!BBH", _FINAL_TEXT, 126, length)
    else:
        head = struct.pack("!BBQ", _FINAL_TEXT, 127, length)
    return Frame(text, head + body)


def frame_event(event: Encodable) -> Frame:
    """Encode an event as a frame."""
    return frame(event.encode())
