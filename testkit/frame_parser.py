"""Parses a server's WebSocket frames from a stream of bytes. No socket, no handshake, no sending.

Not a library, because each message that a load receives passes through here, and the libraries' parsers cost ten times
as much as all the rest.
"""

from __future__ import annotations

# Opcodes of RFC 6455, section 5.2.
CONTINUATION, TEXT, CLOSE, PING, PONG = 0x0, 0x1, 0x8, 0x9, 0xA
FINAL_TEXT = 0x80 | TEXT
CONTROL = 0x08
# Longer than any event: a greater length means that the stream was misread.
LONGEST_BYTES = 16 * 2**20


class FrameError(Exception):
    """The bytes are no frame that a server may send here."""


class FrameParser:
    """Takes bytes as they were read, and returns the complete messages and control frames in them: (opcode, body)."""

    def __init__(self) -> None:
        self._rest = b""
        self._opcode = 0
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        if self._rest:
            data = self._rest + data
        messages: list[tuple[int, bytes]] = []
        at, size = 0, len(data)
        while size - at >= 2:
            first, length = data[at], data[at + 1]
            head = at + 2
            if length > 125:
                wide = 2 if length == 126 else 8
                if length > 127:
                    raise FrameError("a server's frame is never masked")
                head += wide
                if size < head:
                    break
                length = int.from_bytes(data[head - wide : head], "big")
                if length > LONGEST_BYTES:
                    raise FrameError(f"a frame of {length} bytes")
            end = head + length
            if end > size:
                break
            at = end
            if first == FINAL_TEXT:
                messages.append((TEXT, data[head:end]))
            else:
                messages += self._other(first, data[head:end])
        self._rest = data[at:]
        return messages

    def _other(self, first: int, body: bytes) -> list[tuple[int, bytes]]:
        """Handle a control frame, a binary message, or a fragment of a message."""
        if first & 0x70:
            raise FrameError(f"first byte {first:#x}: no extension was agreed on")
        opcode, is_final = first & 0x0F, bool(first & 0x80)
        if opcode & CONTROL:
            return [(opcode, body)]
        if bool(self._parts) is (opcode != CONTINUATION):
            raise FrameError(f"opcode {opcode} {'within' if self._parts else 'outside'} a message in parts")
        self._opcode = opcode or self._opcode
        if not is_final:
            self._parts.append(body)
            if sum(map(len, self._parts)) > LONGEST_BYTES:
                raise FrameError(f"a message of more than {LONGEST_BYTES} bytes")
            return []
        whole, self._parts = b"".join([*self._parts, body]), []
        return [(self._opcode, whole)]
