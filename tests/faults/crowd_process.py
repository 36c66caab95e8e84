"""`python -m tests.faults.crowd_process`: many clients in a process of their own, which reads commands as JSON lines.

Each line of input is {"do": name, ...}; each line of output is the reply. `crowd.py` is the other side.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from array import array
from collections import defaultdict
from typing import Any

import uvloop

from tests.faults.account import Account
from tests.faults.client import Client, Page

LINE_BYTES = 1 << 26


class CrowdProcess:
    """The clients of one process. `do` names a method."""

    def __init__(self, host: str, port: int, pages: list[dict[str, Any]]) -> None:
        self._late: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
        self._span = "start"
        self.clients = [Client(Page(**page), host=host, port=port, late=self._note) for page in pages]

    def _note(self, seconds: float) -> None:
        self._late[self._span].append(seconds)

    async def connect(self, per_second: float) -> None:
        """Open all sockets, at this rate."""
        for client in self.clients:
            client.connect()
            await asyncio.sleep(1 / per_second)

    async def status(self, shown: int = 0, count: int = 0) -> dict[str, Any]:
        """Return the numbers of open sockets, of those that lack an event, and of those with another count of users."""
        news = [each for each in self.clients if each.page.path.startswith("/ws/notifications/")]
        return {
            "open": sum(each.open for each in self.clients),
            "disconnected": sum(each.page.returns and not each.ended and not each.open for each in self.clients),
            "resumed": sum(1 for each in news if each.open and each.diary.resumed),
            "behind": sum(
                1 for each in news if not each.ended and (not each.diary.shown or max(each.diary.shown[-50:]) < shown)
            ),
            "miscounted": sum(
                1 for each in self.clients if each.open and each.diary.counts and each.diary.counts[-1][1] != count
            ),
        }

    async def mark(self, span: str) -> None:
        """Assign all latencies from now on to this span."""
        self._span = span

    async def leave(self, user: str) -> None:
        """Close all tabs of a user."""
        for client in self.clients:
            if client.page.user == user:
                client.close()

    async def account(self, due: list[tuple[int, float]]) -> dict[str, Any]:
        """Compare the events due to each client on notifications with those that it showed. `due`: (id, committed)."""
        total = Account()
        committed = dict(due)
        ids = [each for each, _ in due]
        for i, client in enumerate(self.clients):
            if not client.page.path.startswith("/ws/notifications/"):
                continue
            shown = client.diary.shown
            until = max(shown, default=0) if client.ended else None
            one = Account.of(f"{client.page.user}/{i}", shown, ids, until=until)
            have = set(shown)
            one.reload(client.diary.reloads, [at for each, at in committed.items() if each not in have])
            one.repeats = client.diary.repeats
            total += one
        return {"account": total.as_dict()}

    async def diaries(self) -> list[dict[str, Any]]:
        """Return the records of each client without the shown events."""
        return [
            {
                "user": each.page.user,
                "path": each.page.path,
                "returns": each.page.returns,
                "ended": each.ended,
                "open": each.open,
                "attempts": list(each.diary.attempts),
                "opens": list(each.diary.opens),
                "closes": each.diary.closes,
                "refusals": dict(each.diary.refusals),
                "counts": each.diary.counts,
                "stale": each.diary.stale,
                "reloads": each.diary.reloads,
                "errors": dict(each.diary.errors),
            }
            for each in self.clients
        ]

    async def latencies(self) -> dict[str, list[float]]:
        """Return the seconds from commit to page, by span."""
        return {span: [round(each, 5) for each in seconds] for span, seconds in self._late.items()}

    async def close(self) -> None:
        for client in self.clients:
            client.close()


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    first = json.loads(await reader.readline())
    crowd = CrowdProcess(**first)
    # A garbage collection over the heap of a thousand clients would pause them all.
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    background: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        asked = json.loads(line)
        name = asked.pop("do")
        if name == "connect":
            task = asyncio.ensure_future(crowd.connect(**asked))
            background.add(task)
            answer = None
        else:
            answer = await getattr(crowd, name)(**asked)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
