"""The frames that a cheap client sends and accepts."""

import pytest

from capacity.crowd import Client, client_frame
from capacity.workload import CalibrateError

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Socket:
    def __init__(self):
        self.sent = []

    def sendall(self, data):
        self.sent.append(data)


def frame(opcode, body):
    return bytes([0x80 | opcode, len(body)]) + body


@pytest.fixture
def client():
    heard = []
    made = Client(Socket(), 80, heard.append)
    made.heard = heard
    return made


def test_frame_is_masked_as_a_client_must():
    head, mask, body = (sent := client_frame(TEXT, b"ab"))[:2], sent[2:6], sent[6:]
    assert (head, bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))) == (bytes([0x81, 0x82]), b"ab")


def test_ping_is_answered_with_its_own_body(client):
    client.take(frame(PING, b"xy"))
    assert client.socket.sent == [client_frame(PONG, b"xy")]
    assert not client.heard


def test_text_is_heard_also_where_it_comes_in_two_parts(client):
    whole = frame(TEXT, b"one") + frame(TEXT, b"two")
    client.take(whole[:7])
    client.take(whole[7:])
    assert client.heard == [b"one", b"two"]


def test_close_is_no_end_that_anybody_asked_for(client):
    with pytest.raises(CalibrateError, match="4008"):
        client.take(frame(CLOSE, (4008).to_bytes(2, "big")))


def test_heartbeat_is_that_of_the_page(client):
    client.beat()
    assert client.socket.sent == [client_frame(TEXT, b'{"type":"ping"}')]
