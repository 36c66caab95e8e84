"""Sessions that end without an event: expired, deleted by hand, or their user changed by a query.

Reads the session of each open socket once per interval. All other ends are covered by revocations.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from zlib import crc32

from channels.db import database_sync_to_async

from tidewire import metrics
from tidewire.auth.sessions import key_is_data, read_session
from tidewire.close_codes import CloseCode
from tidewire.exceptions import SessionUnknown, SessionUnreadable
from tidewire.fanout.connection import Connection

logger = logging.getLogger(__name__)

# The work of an interval is split into this many parts: 10,000 sockets of 2,500 sessions are 125 sessions per part.
PARTS = 20
# A socket without a session must reconnect after this many intervals, because a reconnect costs more than a query.
INTERVALS_WITHOUT_SESSION = 12
# Number of distinct times of such reconnects; a prime, so that objects adjacent in memory do not share one.
SPREAD = 1009
# Number of sessions per call into the database thread: 25 ms, so that a handshake does not wait longer.
BATCH = 25

# A single unreadable session must not hide the others, but with an unavailable store each attempt costs a timeout.
UNKNOWN_IN_A_ROW = 3

# The user (as text), the session's key, and whether access has ended for good.
OnEnd = Callable[[str, str, bool], Awaitable[None]]


class SessionWatch:
    """Closes the sockets of a node when their session has ended, and reports each such session to `on_end`.

    The code is final only if `is_current`, when this node has all revocations. Otherwise the session may have got
    another key in another tab of the same browser, and the handshake decides.
    """

    def __init__(
        self,
        connections: Callable[[], Iterable[Connection]],
        *,
        seconds: float,
        on_end: OnEnd,
        is_current: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._seconds = seconds
        self._on_end = on_end
        self._is_current = is_current
        self._clock = clock
        self._check_requested = asyncio.Event()
        # The number of parts to check without a pause.
        self._parts_due = 0

    def check_now(self) -> None:
        """Check all sessions now, because an event about one may have been lost."""
        self._parts_due = PARTS
        self._check_requested.set()

    async def run(self) -> None:
        """Check the parts of the sessions in turn, for ever."""
        for part in itertools.cycle(range(PARTS)):
            await self._pause()
            self._close_without_session()
            await self._check(part)

    async def _pause(self) -> None:
        if not self._parts_due:
            self._check_requested.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds / PARTS):
                    await self._check_requested.wait()
        if self._parts_due:
            self._parts_due -= 1

    async def _check(self, part: int) -> None:
        users = {each.session_key: each.user for each in self._connections() if each.session_key}
        due = [(key, user) for key, user in users.items() if crc32(key.encode()) % PARTS == part]
        for start in range(0, len(due), BATCH):
            ended, unavailable = await _ended_sessions(due[start : start + BATCH])
            final = self._is_current() and not key_is_data()
            for connection in [each for each in self._connections() if each.session_key in ended]:
                metrics.REVOKED.inc()
                connection.close(CloseCode.REVOKED if final else CloseCode.EXPIRED)
            await asyncio.gather(*(self._on_end(users[key], key, final) for key in ended))
            if unavailable is not None:
                # Keep the connections; the next interval checks this part again.
                logger.warning("sessions could not be checked: %s", unavailable)
                return

    def _close_without_session(self) -> None:
        """Close sockets without a session with a reconnect code, so that they are authenticated again."""
        now = self._clock()
        for connection in list(self._connections()):
            # The reconnects are spread over a fifth of that time, because the sockets may have connected together. The
            # time of each is fixed: if drawn at each check, one of the first draws would be short.
            limit = self._seconds * INTERVALS_WITHOUT_SESSION * (1 - 0.2 * (hash(connection) % SPREAD) / SPREAD)
            if not connection.session_key and now - connection.opened_at > limit:
                connection.close(CloseCode.EXPIRED)


@database_sync_to_async
def _ended_sessions(sessions: list[tuple[str, str]]) -> tuple[set[str], SessionUnknown | None]:
    """Return the keys of sessions that no longer authenticate their user.

    A session that cannot be read counts as valid. After UNKNOWN_IN_A_ROW failures the rest is skipped, and the error
    returned.
    """
    ended: set[str] = set()
    unknown = 0
    for key, user in sessions:
        try:
            # Two queries: the session and its user. The user must be active and have the same password.
            if str(read_session(key).user.pk) != user:
                ended.add(key)
        except SessionUnreadable:
            continue
        except SessionUnknown as error:
            unknown += 1
            if unknown == UNKNOWN_IN_A_ROW:
                return ended, error
        else:
            unknown = 0
    return ended, None
