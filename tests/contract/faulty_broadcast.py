"""A plain ASGI application that passes each message on to all sockets, with the faults that a query string names."""

import asyncio
from typing import Any

SOCKETS: list[Any] = []
# Of seven digits, as `tidewire bench` sends them; the first 5 warm up, so the faults come later.
LOSES, DOUBLES, SWAPS = 8, 9, 20
FIRST = 1_000_000
held: list[str] = []
busy: list[str] = []


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    query = scope.get("query_string", b"").decode().split("&")
    headers = dict(scope.get("headers", ()))
    await receive()
    if "busy" in query and not busy:
        # Daphne waits 5 s for an answer and then closes the connection.
        busy.append("the first")
        await asyncio.sleep(6)
    if "login" in query and headers.get(b"cookie") != b"sessionid=ada":
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept"})
    SOCKETS.append(send)
    while (message := await receive())["type"] == "websocket.receive":
        text = message["text"]
        if "raises" in query:
            await send({"type": "websocket.close", "code": 4500})
        elif "echo" in query:
            await send({"type": "websocket.send", "text": text})
        elif "silent" not in query:
            await _pass_on(text, query)
    SOCKETS.remove(send)


async def _pass_on(text: str, query: list[str]) -> None:
    number = int("".join(filter(str.isdigit, text)) or 0) - FIRST
    texts = [text]
    if "doubles" in query and number == DOUBLES:
        texts *= 2
    if "swaps" in query and number == SWAPS:
        held.append(text)
        return
    if held:
        texts.append(held.pop())
    for index, send in enumerate(SOCKETS):
        if "loses" in query and number == LOSES and index == 0:
            continue
        for each in texts:
            await send({"type": "websocket.send", "text": each})
