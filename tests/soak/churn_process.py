"""`python -m tests.soak.churn_process`: people that come, leave, read, edit and reload, at a rate of changes.

The first line of input has the address and the pages, each further line requests a reply, the end of input ends the
process.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from typing import Any

import uvloop

from tests.faults.client import Client, Page

# A random delay of up to this long, from a click to a short break.
AWAY_SECONDS = 5.0


class Churn:
    """Each change closes a socket like a closed tab, and opens another one: the same page, or the other phase."""

    def __init__(self, *, port: int, pages: list[dict[str, Any]], per_second: float) -> None:
        self._port = port
        self._per_second = per_second
        self._random = random.Random(1)
        self.counts: Counter[str] = Counter()
        self._codes: Counter[int] = Counter()
        self._clients = [self._client(Page(**page)) for page in pages]

    async def run(self) -> None:
        for client in self._clients:
            client.connect()
            await asyncio.sleep(0.01)
        while True:
            await asyncio.sleep(1 / self._per_second)
            self._change(self._random.randrange(len(self._clients)))

    def status(self) -> dict[str, Any]:
        return {
            "open": sum(client.open for client in self._clients),
            "codes": {str(code): count for code, count in self._codes.items()},
            **self.counts,
        }

    def _client(self, page: Page) -> Client:
        return Client(page, port=self._port, late=lambda _seconds: None)

    def _change(self, i: int) -> None:
        before, page = self._clients[i], self._clients[i].page
        if not before.open:
            return
        self._codes.update(code for _, code in before.diary.closes)
        self.counts["notifications shown"] += len(before.diary.shown)
        before.close()
        kind, path = "reloads", page.path
        if "/read/" in path or "/update/" in path:
            kind = "phase changes"
            path = path.replace("/read/", "/UPDATE/").replace("/update/", "/read/").replace("/UPDATE/", "/update/")
        self.counts[kind] += 1
        self._clients[i] = self._client(Page(page.user, page.cookie, path))
        # A page that returns at once never leaves; one that returns later does.
        later = self._random.random() * AWAY_SECONDS if self._random.random() < 0.5 else 0.05
        asyncio.get_running_loop().call_later(later, self._clients[i].connect)


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    churn = Churn(**json.loads(await reader.readline()))
    running = asyncio.ensure_future(churn.run())
    while await reader.readline():
        sys.stdout.write(json.dumps(churn.status()) + "\n")
        sys.stdout.flush()
    running.cancel()


if __name__ == "__main__":
    uvloop.run(main())
