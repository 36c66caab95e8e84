"""Both readers read the same data from a socket and end for the same reasons."""

import socket
import struct
from types import SimpleNamespace

import gevent
import gevent.socket
import pytest
from websocket import WebSocket, WebSocketException
from websockets.frames import Frame, Opcode

from loadtest.clients.socket_readers import Closed, GreenletReader, LoopReader, socket_reader

SECONDS = 10.0
READERS = (LoopReader, GreenletReader)


class End:
    """A socket that is already open, with its other end."""

    def __init__(self, kind, idle_timeout_seconds=SECONDS):
        self.near, self.far = gevent.socket.socketpair()
        self.opened = WebSocket(skip_utf8_validation=True)
        self.opened.sock = self.near
        self.opened.connected = True
        self.texts = []
        self.reader = kind(self.opened, self.texts.append, idle_timeout_seconds)
        self.reading = gevent.spawn(self._read)

    def _read(self):
        try:
            self.reader.read()
        except Exception as error:  # noqa: BLE001 - tests check for any exception
            return error
        return None

    def send(self, *frames):
        self.far.sendall(b"".join(Frame(opcode, body).serialize(mask=False) for opcode, body in frames))

    def ended(self):
        """Return the reason of the end."""
        return self.reading.get(timeout=SECONDS)

    def close(self):
        self.reader.stop()
        self.reading.kill()
        self.near.close()
        self.far.close()


@pytest.fixture(params=READERS)
def end(request):
    made = End(request.param)
    yield made
    made.close()


def until(condition):
    with gevent.Timeout(SECONDS):
        while not condition():
            gevent.sleep(0.005)


def test_texts_arrive_in_order_and_a_ping_is_answered(end):
    end.send((Opcode.TEXT, b"one"), (Opcode.PING, b"there?"), (Opcode.TEXT, b"two" * 100))
    until(lambda: len(end.texts) == 2)
    assert end.texts == [b"one", b"two" * 100]
    with gevent.Timeout(SECONDS):
        # A frame from a client is masked: two bytes, four of the mask, the body.
        assert end.far.recv(100)[0] == 0x80 | Opcode.PONG


def test_close_frame_ends_it_with_its_code(end):
    end.send((Opcode.TEXT, b"last"), (Opcode.CLOSE, struct.pack("!H", 4000) + b"drain"))
    error = end.ended()
    assert isinstance(error, Closed)
    assert (error.code, error.final) == (4000, False)
    assert end.texts == [b"last"]


def test_lost_connection_ends_it(end):
    end.far.close()
    assert isinstance(end.ended(), Closed | WebSocketException)
    assert not end.texts


def test_socket_that_is_cut_from_this_side_ends_it(end):
    until(lambda: end.reading.started)
    gevent.sleep(0)
    end.near.shutdown(socket.SHUT_RDWR)
    assert end.ended() is not None


@pytest.mark.parametrize("kind", READERS)
def test_silence_ends_it(kind):
    end = End(kind, idle_timeout_seconds=0.2)
    end.send((Opcode.TEXT, b"one"))
    error = end.ended()
    assert isinstance(error, Closed)
    assert error.code == 1006
    assert end.texts == [b"one"]
    end.close()


def test_loop_that_is_stopped_reads_no_more():
    end = End(LoopReader)
    until(lambda: end.reading.started)
    gevent.sleep(0)
    end.reader.stop()
    assert end.ended() is None
    end.send((Opcode.TEXT, b"late"))
    # A reader would be notified in the next iteration of the loop.
    gevent.sleep(0.01)
    assert not end.texts
    end.close()


def test_error_of_whoever_is_told_ends_the_read_and_not_the_loop():
    end = End(LoopReader)

    def fail(_body):
        raise LookupError("of its own")

    end.reader._on_text = fail
    end.send((Opcode.TEXT, b"one"))
    assert isinstance(end.ended(), LookupError)
    end.close()


def test_encrypted_socket_is_read_by_its_library():
    opened = SimpleNamespace(sock=SimpleNamespace(pending=lambda: 0, fileno=lambda: 0), settimeout=lambda _: None)
    assert isinstance(socket_reader(opened, print, idle_timeout_seconds=1.0), GreenletReader)


def test_ping_of_a_socket_that_has_been_closed_meanwhile_raises_nothing():
    """Its answer failed in a greenlet of its own, as a fault of the load test."""
    failures = []
    end = End(LoopReader)
    gevent.get_hub().handle_error, handle_error = (
        lambda *error: failures.append(error[1]),
        gevent.get_hub().handle_error,
    )
    try:
        end.opened.pong, pong = lambda body: (end.opened.shutdown(), pong(body)), end.opened.pong
        end.send((Opcode.PING, b"there?"))
        until(lambda: end.opened.sock is None)
        gevent.sleep(0)
    finally:
        gevent.get_hub().handle_error = handle_error
        end.close()
    assert not failures
