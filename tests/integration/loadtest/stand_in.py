"""Run as `python -m tests.integration.loadtest.stand_in PORT`: the parts of the dashboard that the journeys need.

A single process with all data in memory: pages with a position, one stream, the count. Its only purpose is to test the
load test as a whole, with shapes and several processes, without a stack and on a fraction of a core.
"""

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
import struct
import sys
import urllib.parse
from datetime import UTC, datetime

EPOCH = "5f"
DOCUMENTS = [f"load-{n:02}" for n in range(1, 5)]
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TOKEN = '<input type="hidden" name="csrfmiddlewaretoken" value="t">'


class StandIn:
    def __init__(self):
        self.events = []
        self.streams = set()
        self.counters = {}
        self._ids = itertools.count(1)

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while request := await self._request(reader):
                method, target, headers, body = request
                if headers.get("upgrade", "").lower() == "websocket":
                    await self._socket(target, headers, reader, writer)
                    break
                is_last = headers.get("connection") == "close"
                page = self._page(method, target, headers, body)
                writer.write(page.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) if is_last else page)
                await writer.drain()
                if is_last:
                    break
        writer.close()

    async def _request(self, reader):
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, target, _ = first.split(" ")
        return method, target, headers, body.decode()

    def _page(self, method, path, _headers, body):
        fields = dict(urllib.parse.parse_qsl(body))
        if method == "POST" and path == "/login/" and fields["password"] == "wrong":
            return self._answer(200, f"Try again. {TOKEN}")
        if method == "POST" and path == "/login/":
            return self._answer(302, Location="/", **{"Set-Cookie": f"tidewire_session={fields['username']}; Path=/"})
        if method == "POST" and path.endswith("/edit/"):
            self._publish(fields["title"])
            return self._answer(302, Location=path.removesuffix("edit/"))
        if method == "POST" and path.endswith("/editing/"):
            return self._answer(204)
        if method == "POST":
            return self._answer(302, Location="/notifications/")
        documents = "".join(f'<li class="document" data-document="{slug}">' for slug in DOCUMENTS)
        hidden = '<input name="version" value="1"><input name="submission" value="">'
        form = f'{TOKEN}{hidden}<textarea name="body">\nx</textarea>'
        end = len(self.events)
        return self._answer(
            200, f'<body data-position="{EPOCH}:{end}" data-newest-notification="{end}">{documents}{form}</body>'
        )

    def _answer(self, status, text="", **headers):
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(text)}", "Content-Type: text/html"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()

    def _publish(self, title):
        number = len(self.events) + 1
        event = {
            "type": "notification.created",
            "id": f"e{number}",
            "offset": number,
            "at": datetime.now(UTC).isoformat(),
            "notification_id": number,
            "verb": "updated",
            "title": title,
        }
        self.events.append(event)
        for writer in list(self.streams):
            send(writer, event)

    async def _socket(self, target, headers, reader, writer):
        accept = base64.b64encode(hashlib.sha1((headers["sec-websocket-key"] + GUID).encode()).digest()).decode()  # noqa: S324
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        path, _, query = target.partition("?")
        user = headers.get("cookie", "").rpartition("tidewire_session=")[2]
        try:
            if path == "/ws/notifications/":
                at = dict(urllib.parse.parse_qsl(query)).get("at", f"notifications:{EPOCH}:0")
                self._resume(writer, at.partition(":")[2])
            elif path == "/ws/users/":
                self.counters[writer] = user
                self._count()
            elif path.startswith("/ws/document/"):
                send(writer, {"type": "document.people", "readers": [], "editors": []})
            elif path == "/ws/documents/":
                send(writer, {"type": "documents.status", "documents": {}})
            await self._listen(reader, writer)
        finally:
            self.streams.discard(writer)
            if self.counters.pop(writer, None):
                self._count()

    def _resume(self, writer, at):
        after = int(at.rpartition(":")[2])
        send(writer, {"type": "resumed", "at": at, "recovered": True})
        for event in self.events[after:]:
            send(writer, event)
        self.streams.add(writer)

    def _count(self):
        count = len(set(self.counters.values()))
        for writer in list(self.counters):
            send(writer, {"type": "users.count", "count": count})

    async def _listen(self, reader, writer):
        while True:
            first, second = await reader.readexactly(2)
            length = second & 127
            if length == 126:
                [length] = struct.unpack("!H", await reader.readexactly(2))
            mask = await reader.readexactly(4)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(await reader.readexactly(length)))
            if first & 15 == 8:
                return
            if data == b'{"type":"ping"}':
                send(writer, {"type": "pong"})


def send(writer, event):
    if writer.transport.is_closing():
        return
    data = json.dumps(event).encode()
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack("!H", len(data))
    writer.write(b"\x81" + size + data)


async def main(port):
    server = await asyncio.start_server(StandIn().serve, "127.0.0.1", port, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
