"""Sessions that ended without a word: expired, deleted by hand, of a user changed behind Django's signals.

Looks at each open socket's session once per interval, as a page would read it. Revocations are for all the rest.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from zlib import crc32

from channels.db import database_sync_to_async
from django.conf import settings as django_settings
from django.contrib.auth import get_user
from django.db import DatabaseError
from django.http import HttpRequest

from tidewire import metrics
from tidewire.close_codes import CloseCode
from tidewire.connection import Connection

logger = logging.getLogger(__name__)

# An interval's work is done in so many parts: 10,000 sockets of 2,500 sessions are 125 sessions at a time.
PARTS = 20
# A socket without a session has to reconnect instead, which costs more than a look: after so many intervals.
INTERVALS_WITHOUT_SESSION = 12
# Places in that time to leave at; a prime, so that neighbours in memory do not share one.
SPREAD = 1009
# One visit to the database's thread: 25 ms of reading, so that a handshake is not kept waiting for longer.
BATCH = 25


class SessionWatch:
    """Closes the sockets of a node whose session no longer stands; each that ended is told to `on_end`, by its mark."""

    def __init__(
        self, connections: Callable[[], Iterable[Connection]], *, seconds: float, on_end: Callable[[str], None]
    ) -> None:
        self._connections = connections
        self._seconds = seconds
        self._on_end = on_end
        self._hurried = asyncio.Event()
        # How many parts are left to be looked at without a pause.
        self._at_once = 0

    def hurry(self) -> None:
        """Look at every session now: somebody's end may not have been told."""
        self._at_once = PARTS
        self._hurried.set()

    async def run(self) -> None:
        """Look for ever, a part of the sessions at a time."""
        for part in itertools.cycle(range(PARTS)):
            await self._pause()
            self._expire()
            try:
                await self._check(part)
            except DatabaseError as error:
                # Nobody is closed for what nobody knows; the next interval asks again.
                logger.warning("sessions were not checked: %s", error)

    async def _pause(self) -> None:
        if not self._at_once:
            self._hurried.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds / PARTS):
                    await self._hurried.wait()
        if self._at_once:
            self._at_once -= 1

    async def _check(self, part: int) -> None:
        users = {each.session_key: each.user for each in self._connections() if each.session_key}
        due = [(key, user) for key, user in users.items() if crc32(key.encode()) % PARTS == part]
        for start in range(0, len(due), BATCH):
            ended = await _ended(due[start : start + BATCH])
            for connection in [each for each in self._connections() if each.session_key in ended]:
                metrics.REVOKED.inc()
                self._on_end(connection.session)
                connection.close(CloseCode.REVOKED)

    def _expire(self) -> None:
        """Have sockets that came without a session come back, to be authenticated anew in their own way."""
        now = time.monotonic()
        for connection in list(self._connections()):
            # Spread over a fifth of that time: those who came together need not leave together. Each has its own place
            # in it for life; one drawn anew at each look would come up short within the first few.
            limit = self._seconds * INTERVALS_WITHOUT_SESSION * (1 - 0.2 * (hash(connection) % SPREAD) / SPREAD)
            if not connection.session_key and now - connection.opened > limit:
                connection.close(CloseCode.EXPIRED)


@database_sync_to_async
def _ended(sessions: list[tuple[str, str]]) -> set[str]:
    """The keys of those sessions that no longer let their user in."""
    store = import_module(django_settings.SESSION_ENGINE).SessionStore
    ended = set()
    for key, user in sessions:
        request = HttpRequest()
        request.session = store(key)
        # Session, user, whether active, and whether the password is still the same: two queries.
        if str(get_user(request).pk) != user:
            ended.add(key)
    return ended
