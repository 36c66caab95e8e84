"""An idle socket reports a refusal, a loss and its texts, and sends the page's heartbeat."""

import pytest

from capacity.costs import CalibrateError
from capacity.idle_sockets import IdleSocket
from testkit.frame_parser import CLOSE, TEXT
from testkit.websocket_client import client_frame
from tests.unit.testkit.test_websocket_client import ACCEPTED, Transport, server_frame


@pytest.fixture
async def socket():
    lost, texts = [], []
    idle_socket = IdleSocket(80, b"", lambda _socket, code: lost.append(code), texts.append)
    idle_socket.transport, idle_socket.lost, idle_socket.texts = Transport(), lost, texts
    idle_socket.client.connection_made(idle_socket.transport)
    return idle_socket


async def test_texts_are_passed_on(socket):
    socket.client.data_received(ACCEPTED + server_frame(TEXT, b"one"))
    await socket.opened
    assert socket.texts == [b"one"]


async def test_a_refusal_has_its_status(socket):
    socket.client.data_received(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    socket.client.connection_lost(None)
    with pytest.raises(CalibrateError, match="503"):
        await socket.opened


async def test_a_lost_socket_has_its_code(socket):
    socket.client.data_received(ACCEPTED + server_frame(CLOSE, (4008).to_bytes(2, "big")))
    socket.client.connection_lost(None)
    assert socket.lost == [4008]


async def test_a_heartbeat_is_that_of_the_page(socket):
    socket.client.data_received(ACCEPTED)
    socket._beat()
    assert socket.transport.sent[-1] == client_frame(TEXT, b'{"type":"ping"}')
