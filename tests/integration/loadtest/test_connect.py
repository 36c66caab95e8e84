"""A response is read in a few calls, without the bytes that follow it."""

import gevent
import gevent.socket
import pytest
from websocket import WebSocketBadStatusException, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from loadtest.clients import connect
from loadtest.clients.connect import ResponseLines, open_websocket

SECONDS = 10.0


def serve(listener, answered, after=b"", pieces=1):
    """Respond to one handshake according to RFC 6455, in this number of pieces, followed by more bytes."""
    client, _ = listener.accept()
    protocol = ServerProtocol()
    while not (requests := protocol.events_received()):
        protocol.receive_data(client.recv(4096))
    answered.append(requests[0].headers)
    protocol.send_response(protocol.accept(requests[0]))
    data = b"".join(protocol.data_to_send()) + after
    step = -(-len(data) // pieces)
    for at in range(0, len(data), step):
        client.sendall(data[at : at + step])
        gevent.sleep(0.002)
    return client


@pytest.fixture
def listener(monkeypatch):
    # Locust's patching does this to the whole process.
    monkeypatch.setattr(connect, "socket", gevent.socket)
    made = gevent.socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen(5)
    yield made
    made.close()


def opened(listener, **options):
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/ws/users/"
    return open_websocket(url, timeout_seconds=SECONDS, origin="http://a", cookie="sessionid=x", **options)


@pytest.mark.parametrize("pieces", [1, 7, 60])
def test_what_follows_the_answer_is_left_for_the_reader(listener, pieces):
    answered = []
    first = Frame(Opcode.TEXT, b"resumed").serialize(mask=False)
    serving = gevent.spawn(serve, listener, answered, first, pieces)
    socket = opened(listener)
    assert answered[0]["Cookie"] == "sessionid=x"
    assert answered[0]["Origin"] == "http://a"
    assert socket.recv() == "resumed"
    socket.shutdown()
    serving.get(timeout=SECONDS).close()


def test_refusal_has_its_status(listener):
    def refuse():
        client, _ = listener.accept()
        client.recv(4096)
        client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        return client

    serving = gevent.spawn(refuse)
    with pytest.raises(WebSocketBadStatusException, match="403"):
        opened(listener)
    serving.get(timeout=SECONDS).close()


def test_end_in_the_middle_of_an_answer_is_an_error(listener):
    def leave():
        client, _ = listener.accept()
        client.recv(4096)
        client.sendall(b"HTTP/1.1 101 Switching")
        client.close()

    gevent.spawn(leave)
    with pytest.raises((WebSocketException, OSError)):
        opened(listener)


def test_answer_takes_two_calls_for_each_line():
    near, far = gevent.socket.socketpair()
    far.sendall(b"HTTP/1.1 101 X\r\nA: b\r\n\r\nrest")
    lines = ResponseLines(near)
    got = []
    while b"".join(got)[-4:] != b"\r\n\r\n":
        got.append(lines.recv(1))
    assert got == [b"HTTP/1.1 101 X\r", b"\n", b"A: b\r", b"\n", b"\r", b"\n"]
    assert near.recv(10) == b"rest"
    near.close()
    far.close()
