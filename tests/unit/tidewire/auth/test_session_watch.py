"""Sockets whose session has ended without an event are closed within an interval, and no others."""

import asyncio

import pytest

from tests.unit.tidewire.fakes import FakeSocket
from tidewire.auth import session_watch
from tidewire.auth.session_watch import BATCH, INTERVALS_WITHOUT_SESSION, PARTS, SessionWatch
from tidewire.close_codes import CloseCode
from tidewire.exceptions import SessionUnknown

SECONDS = 60.0


class Sessions:
    """The session store, with the keys of ended sessions. May be unavailable."""

    def __init__(self) -> None:
        self.over: set[str] = set()
        self.unavailable = False
        self.asked: list[list[tuple[str, str]]] = []

    async def ended(self, asked: list[tuple[str, str]]) -> tuple[set[str], SessionUnknown | None]:
        self.asked.append(asked)
        if self.unavailable:
            return set(), SessionUnknown("unavailable")
        return self.over & {key for key, _user in asked}, None


@pytest.fixture
def sessions(monkeypatch):
    sessions = Sessions()
    monkeypatch.setattr(session_watch, "_ended_sessions", sessions.ended)
    return sessions


@pytest.fixture
async def watch(monkeypatch, sessions):
    """Watch these sockets. Returns the ended sessions: user, key, and whether the end is final."""
    loop = asyncio.get_running_loop()
    tasks = []

    def started(*sockets: FakeSocket, current: bool = True) -> list[tuple[str, str, bool]]:
        ends: list[tuple[str, str, bool]] = []

        async def on_end(user: str, key: str, final: bool) -> None:
            ends.append((user, key, final))

        for each in sockets:
            each.connection.opened_at = loop.time()
        new_watch = SessionWatch(
            lambda: [each.connection for each in sockets],
            seconds=SECONDS,
            on_end=on_end,
            is_current=lambda: current,
            clock=loop.time,
        )
        tasks.append(asyncio.ensure_future(new_watch.run()))
        return ends

    yield started
    for task in tasks:
        task.cancel()


def socket(key: str, *, user: str = "1") -> FakeSocket:
    fake_socket = FakeSocket(user=user)
    fake_socket.connection.session_key = key
    return fake_socket


async def test_a_session_that_ended_closes_its_sockets_within_an_interval(watch, sessions):
    """The close is final, and the session's tickets are refused; other sessions keep their sockets."""
    one, tab, other = socket("one"), socket("one"), socket("other")
    ends = watch(one, tab, other)
    await asyncio.sleep(SECONDS)
    assert not any(each.closed for each in (one, tab, other))
    sessions.over = {"one"}
    await asyncio.sleep(SECONDS + 1)
    assert one.closed[:1] == tab.closed[:1] == [CloseCode.REVOKED]
    assert other.closed == []
    assert set(ends) == {("1", "one", True)}


async def test_a_node_that_lacks_revocations_lets_the_handshake_decide(watch, sessions):
    """The session may have a new key, in an event that this node has not received yet."""
    one = socket("one")
    ends = watch(one, current=False)
    sessions.over = {"one"}
    await asyncio.sleep(SECONDS + 1)
    assert one.closed[:1] == [CloseCode.EXPIRED]
    assert set(ends) == {("1", "one", False)}


async def test_each_session_is_asked_for_once_an_interval_in_small_parts(watch, sessions):
    """Each session is read once, whatever the number of its sockets, and each query must be short."""
    watch(*(socket(f"key {number}") for number in range(1000) for _tab in range(3)))
    await asyncio.sleep(SECONDS + 0.1)
    keys = [key for asked in sessions.asked for key, _user in asked]
    assert sorted(keys) == sorted({f"key {number}" for number in range(1000)})
    assert max(map(len, sessions.asked)) <= BATCH
    assert len(sessions.asked) >= PARTS


async def ignore(_user: str, _key: str, _final: bool) -> None:
    """Ignore the end of a session, for tests that do not test tickets."""


async def test_in_a_hurry_every_session_is_looked_at_at_once(sessions):
    """Each session is read only once; after that the usual schedule continues."""
    one, other = socket("one"), socket("other")
    new_watch = SessionWatch(
        lambda: [one.connection, other.connection], seconds=SECONDS, on_end=ignore, is_current=lambda: True
    )
    task = asyncio.ensure_future(new_watch.run())
    await asyncio.sleep(0)
    sessions.over = {"one"}
    new_watch.check_now()
    await asyncio.sleep(0.1)
    assert one.closed[:1] == [CloseCode.REVOKED]
    assert other.closed == []
    looked = len(sessions.asked)
    await asyncio.sleep(SECONDS / PARTS / 2)
    assert len(sessions.asked) == looked
    task.cancel()


async def test_no_socket_is_closed_while_sessions_cannot_be_read(watch, sessions):
    sessions.over, sessions.unavailable = {"one"}, True
    one = socket("one")
    watch(one)
    await asyncio.sleep(3 * SECONDS)
    assert one.closed == []
    sessions.unavailable = False
    await asyncio.sleep(SECONDS + 1)
    assert one.closed


async def test_a_socket_without_a_session_comes_back_to_be_checked(watch, sessions):
    """Closes are spread over a fifth of the time, because many sockets may have connected at the same moment."""
    sockets = [socket("", user=str(number)) for number in range(200)]
    watch(*sockets)
    life = SECONDS * INTERVALS_WITHOUT_SESSION
    await asyncio.sleep(life * 0.79)
    assert not any(each.closed for each in sockets)
    await asyncio.sleep(life * 0.11)
    assert 50 < sum(bool(each.closed) for each in sockets) < 150
    await asyncio.sleep(life * 0.2)
    assert all(CloseCode.EXPIRED in each.closed for each in sockets)
    assert sessions.asked == []
