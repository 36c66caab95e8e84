"""The WebSocket client handles the handshake, control frames and frames in pieces."""

from testkit.frame_parser import CLOSE, PING, PONG, TEXT
from testkit.websocket_client import WebSocketClient, client_frame

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def server_frame(opcode, body):
    return bytes((0x80 | opcode, len(body))) + body


class Transport:
    def __init__(self):
        self.sent = []
        self.aborted = False

    def write(self, data):
        self.sent.append(data)

    def is_closing(self):
        return self.aborted

    def abort(self):
        self.aborted = True


class Opened:
    """A client on a transport, with the calls of its owner."""

    def __init__(self, *received):
        self.texts, self.closes, self.opens = [], [], 0
        self.client = WebSocketClient(
            b"GET /", on_open=self._open, on_text=self.texts.append, on_close=lambda *each: self.closes.append(each)
        )
        self.transport = Transport()
        self.client.connection_made(self.transport)
        for data in received:
            self.client.data_received(data)

    def _open(self):
        self.opens += 1


def test_a_handshake_and_frames_may_come_in_any_pieces():
    stream = ACCEPTED + server_frame(TEXT, b"one") + server_frame(TEXT, b"two")
    opened = Opened(*(bytes((byte,)) for byte in stream))
    opened.client.connection_lost(None)
    assert (opened.transport.sent, opened.opens, opened.texts) == ([b"GET /"], 1, [b"one", b"two"])
    assert opened.closes == [(1006, 101)]


def test_a_refused_handshake_has_its_status():
    opened = Opened(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    assert opened.transport.aborted
    opened.client.connection_lost(None)
    assert (opened.opens, opened.closes) == (0, [(1006, 403)])


def test_a_ping_is_answered_with_its_own_body():
    opened = Opened(ACCEPTED, server_frame(PING, b"xy"))
    assert opened.transport.sent[1:] == [client_frame(PONG, b"xy")]
    assert not opened.texts


async def test_a_close_frame_is_answered_and_has_its_code():
    opened = Opened(ACCEPTED, server_frame(CLOSE, (4008).to_bytes(2, "big") + b"slow"))
    assert opened.transport.sent[1:] == [client_frame(CLOSE, (4008).to_bytes(2, "big"))]
    opened.client.connection_lost(None)
    assert opened.closes == [(4008, 101)]


def test_a_malformed_frame_ends_the_connection():
    assert Opened(ACCEPTED, b"\xc1\x01x").transport.aborted


def test_a_client_masks_its_frames():
    assert client_frame(TEXT, b"hi") == b"\x81\x82\0\0\0\0hi"
    assert client_frame(TEXT, b"x" * 200)[:4] == b"\x81\xfe\x00\xc8"
