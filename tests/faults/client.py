"""A live socket that behaves like the page's client (tidewire/client.js), which records all that a page would show."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from testkit.frame_parser import TEXT
from testkit.page_client import (
    HANDSHAKE_SECONDS,
    HEARTBEAT_SECONDS,
    PING,
    STABLE_SECONDS,
    STREAM,
    TIMEOUT_SECONDS,
    SeenIds,
    longest_delay,
)
from testkit.websocket_client import WebSocketClient, handshake
from tidewire.close_codes import is_final


@dataclass(frozen=True)
class Page:
    """The user, the path and the behaviour of a socket. If `returns` is false, a lost socket does not reconnect."""

    user: str
    cookie: str
    path: str
    at: str | None = None
    returns: bool = True


@dataclass
class Diary:
    """The records of one socket. Times are those of `time.time()`."""

    shown: array[int] = field(default_factory=lambda: array("q"))
    repeats: int = 0
    attempts: array[float] = field(default_factory=lambda: array("d"))
    opens: array[float] = field(default_factory=lambda: array("d"))
    closes: list[tuple[float, int]] = field(default_factory=list)
    refusals: Counter[int] = field(default_factory=Counter)
    # Times at which the server reported events that it cannot send again; a page then reads its list from the database.
    reloads: list[float] = field(default_factory=list)
    resumed: int = 0
    counts: list[tuple[float, int]] = field(default_factory=list)
    stale: list[tuple[float, bool]] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


@lru_cache(4096)
def _read(text: bytes) -> tuple[dict[str, Any], float]:
    """Return an event and its time. The cache parses a frame once for hundreds of sockets."""
    event = json.loads(text)
    at = event.get("at", "")
    return event, datetime.fromisoformat(at).timestamp() if event["type"] == "notification.created" else 0.0


class Client:
    """Connects, resumes and reconnects. `late` is called with the seconds from an event's commit to its delivery."""

    def __init__(self, page: Page, *, port: int, late: Callable[[float], None], host: str = "127.0.0.1") -> None:
        self.page = page
        self.diary = Diary()
        self.at = page.at
        self._host = host
        self._port = port
        self._late = late
        self._socket: WebSocketClient | None = None
        self._attempt = 0
        self._drain_seconds: float | None = None
        self._opened_at = 0.0
        self._received_at = 0.0
        self._seen = SeenIds()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.ended = False

    @property
    def open(self) -> bool:
        return self._socket is not None and self._socket.is_open

    def connect(self) -> None:
        task = asyncio.ensure_future(self._connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Leave without a close frame and without a return, like a closed tab."""
        self.ended = True
        self._stop()
        if self._socket is not None:
            self._socket.abort()

    async def _connect(self) -> None:
        if self.ended:
            return
        self.diary.attempts.append(time.time())
        path = self.page.path + (f"?at={STREAM}:{self.at}" if self.at else "")
        request = handshake(f"localhost:{self._port}", path, self.page.cookie)
        socket = WebSocketClient(request, on_open=self._opened, on_text=self._received, on_close=self._lost)
        self._socket = socket
        loop = asyncio.get_running_loop()
        # Started before the connection exists, which may be open before this coroutine continues.
        self._timer = loop.call_later(HANDSHAKE_SECONDS, self._give_up)
        try:
            await loop.create_connection(lambda: socket, self._host, self._port)
        except OSError:
            self._lost(1006, 0)

    def _give_up(self) -> None:
        if self._socket is not None:
            self._socket.abort()

    def _opened(self) -> None:
        self._stop()
        now = self._opened_at = self._received_at = time.time()
        self.diary.opens.append(now)
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        if self._socket is not None:
            sent_at = time.time()
            self._socket.send(TEXT, PING)
            self._timer = asyncio.get_running_loop().call_later(TIMEOUT_SECONDS, self._check_reply, sent_at)

    def _check_reply(self, sent_at: float) -> None:
        """Give up unless the server has answered; otherwise schedule the next heartbeat."""
        if self._received_at <= sent_at:
            self._give_up()
        else:
            self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_SECONDS - TIMEOUT_SECONDS, self._beat)

    def _received(self, text: bytes) -> None:
        now = self._received_at = time.time()
        event, committed = _read(text)
        if "offset" in event:
            self._shown(event, committed, now)
            return
        kind = event["type"]
        if kind == "drain":
            self._drain_seconds = event["reconnect_in_seconds"]
        elif kind == "stale":
            self.diary.stale.append((now, event["stale"]))
        elif kind == "resumed":
            self.at = event["at"]
            self.diary.resumed += 1
            if not event["recovered"]:
                self.diary.reloads.append(now)
        elif kind == "users.count":
            self.diary.counts.append((now, event["count"]))
        elif kind == "error":
            self.diary.errors[event["code"]] += 1

    def _shown(self, event: dict[str, Any], committed: float, now: float) -> None:
        """Record an event once, like client.js: it identifies events by their id and its position by the offset."""
        epoch = re.split("[.:]", self.at or "0:0")[0]
        self.at = f"{epoch}.{event['mark']}:{event['offset']}"
        if not self._seen.is_new(event["id"]):
            self.diary.repeats += 1
            return
        self.diary.shown.append(event["sequence"])
        # Older events arrived by a resume.
        if committed > self._opened_at:
            self._late(now - committed)

    def _lost(self, code: int, status: int) -> None:
        self._stop()
        self._socket = None
        now = time.time()
        if status == 101:
            self.diary.closes.append((now, code))
        else:
            self.diary.refusals[status] += 1
        if is_final(code) or self.ended or not self.page.returns:
            self.ended = True
            return
        if self._opened_at and now - self._opened_at > STABLE_SECONDS:
            self._attempt = 0
        delay = _backoff(self._attempt) if self._drain_seconds is None else self._drain_seconds + _backoff(0)
        self._attempt += 1
        self._drain_seconds = None
        self._opened_at = 0.0
        self._timer = asyncio.get_running_loop().call_later(delay, self.connect)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _backoff(attempt: int) -> float:
    return random.random() * longest_delay(attempt)
