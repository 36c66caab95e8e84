"""Every private name of Daphne, autobahn and Twisted that tidewire touches.

`tests/unit/tidewire/test_daphne.py` fails loudly when an upgrade moves one of them.
"""

import socket
from typing import Any

from daphne.ws_protocol import WebSocketProtocol

# Linux's number; Python names it nowhere. Elsewhere the kernel's own buffer stays as it is.
TCP_NOTSENT_LOWAT = 25
# The kernel holds so much unsent data per socket: enough for any event, little for a stalled reader.
NOTSENT_BYTES = 16 * 1024


class DirectProtocol(WebSocketProtocol):
    """Daphne's websocket protocol, which writes to the socket at once where nothing waits before.

    All bytes that autobahn sends (data, ping, close) pass through `sendData`, so the order is kept
    by construction. It is a `tidewire.connection.Writer`.
    """

    def connectionMade(self) -> None:
        super().connectionMade()
        # TLS wraps the transport, which then has no `writeSomeData`: bytes must go through its `write`.
        self._direct = hasattr(self.transport, "writeSomeData") and hasattr(self.transport, "dataBuffer")
        if self._direct:
            _limit_unsent(self.transport.socket)

    @property
    def backlog(self) -> int:
        transport = self.transport
        if transport is None or not self._direct:
            return 0
        return len(transport.dataBuffer) - transport.offset + transport._tempDataLen  # type: ignore[no-any-return]

    def write(self, frames: list[Any], wire: bytes) -> None:
        if self.state != self.STATE_OPEN or self.send_state != self.SEND_STATE_GROUND:
            return
        if self._perMessageCompress is None:
            self.sendData(wire)
        else:
            for frame in frames:
                self.sendMessage(frame.text.encode())

    def cut(self) -> None:
        transport = self.transport
        if transport is not None:
            transport.abortConnection()

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        transport = self.transport
        if (
            not self._direct
            or sync
            or chopsize
            or self.send_queue
            or not transport.connected
            or transport.disconnecting
        ):
            super().sendData(data, sync, chopsize)
            return
        if transport._tempDataLen or len(transport.dataBuffer) != transport.offset:
            transport.write(data)
            return
        taken = transport.writeSomeData(data)
        if taken.__class__ is not int:
            # The connection is lost: `write` makes the reactor notice and report it.
            transport.write(data)
        elif taken < len(data):
            transport.write(data[taken:])

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Daphne's, which drops empty messages; ASGI does not (five cases of the Autobahn suite)."""
        if message["type"] == "websocket.send" and self.state == self.STATE_OPEN:
            text = message.get("text")
            data = message.get("bytes")
            if text == "" and data is None:
                self.sendMessage(b"", False)
                return
            if data == b"" and text is None:
                self.sendMessage(b"", True)
                return
        if message["type"] == "websocket.close" and self.state not in (self.STATE_CONNECTING, self.STATE_OPEN):
            return
        super().handle_reply(message)


def _limit_unsent(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_BYTES)
    except OSError:
        # A Unix socket, or a system without the option: the kernel's buffer is its default.
        return
