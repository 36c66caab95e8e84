"""Ws scaled up and down with 500 sockets, and an account of every event that is due to each of them."""

import random
import sys
import time

import pytest

from tests.compose.inside import Inside, Publisher
from tests.compose.test_up import connections_by_node, wait_for
from tests.faults.crowd import Crowd, codes
from tests.faults.event_source import committed
from tests.faults.scene import people
from tidewire.close_codes import CloseCode

pytestmark = pytest.mark.compose

SOCKETS = 500
PER_SECOND = 20
# Below nginx's default limit for one address (100 a second), from which all sockets come.
CONNECTS_PER_SECOND = 80.0
# nginx caches a response of the name server for two seconds.
RESOLVED_SECONDS = 4.0
# A drained socket reconnects within a drain; the last ones after their backoff.
BACK_SECONDS = 60.0
CATCH_UP_SECONDS = 30.0


def test_scaling_under_load_loses_nothing(compose):
    """Two replicas become four and two again, without a restart of nginx, a close with 1006 or a missed event."""
    inside = Inside(compose)
    started = compose.running("nginx")[0]["State"]["StartedAt"]
    pages = people(inside, SOCKETS // 2, paths=("/ws/users/", "/ws/notifications/"))
    random.Random(1).shuffle(pages)
    inside.sessions("ada")
    with (
        Crowd(inside, pages[: SOCKETS // 2]) as first,
        Crowd(inside, pages[SOCKETS // 2 :]) as second,
        Publisher(inside, PER_SECOND) as publisher,
    ):
        first.connect(per_second=CONNECTS_PER_SECOND)
        first_here = newest(inside)
        compose.up(ws=4)
        time.sleep(RESOLVED_SECONDS)
        second.connect(per_second=CONNECTS_PER_SECOND)
        second_here = newest(inside)
        before = wait_for(
            lambda: connections_by_node(compose),
            lambda connections: sum(connections.values()) == SOCKETS and len(connections) == 4,
            20,
        )
        began = time.time()
        compose.up(ws=2)
        down_seconds = time.time() - began
        for crowd in (first, second):
            crowd.wait(lambda status: status["disconnected"] == 0, BACK_SECONDS)
        after = connections_by_node(compose)
        publisher.stop()
        # A socket without a position begins at the current one: earlier events are not due to it.
        due = committed(inside, first_here)
        later = [each for each in due if each[0] > second_here]
        for crowd in (first, second):
            crowd.wait(lambda status: status["behind"] == 0, CATCH_UP_SECONDS, shown=due[-1][0])
        account = first.account(due) + second.account(later)
        diaries = first.diaries() + second.diaries()
    closed = codes(diaries, began)
    refused = sum(sum(diary.refusals.values()) for diary in diaries)
    sys.stdout.write(
        f"spread {sorted(map(int, before.values()))}, then {sorted(map(int, after.values()))}; codes {dict(closed)}; "
        f"refused {refused}; down in {down_seconds:.0f} s; {len(due)} events; {account}\n"
    )
    # Sockets opened with two replicas stay; least_conn prefers the two new replicas for the others.
    assert min(before.values()) >= SOCKETS / 4 * 0.8
    assert sum(after.values()) == SOCKETS
    assert set(closed) == {CloseCode.DRAINING}
    assert closed.total() >= SOCKETS / 4
    assert codes(diaries).keys() == {CloseCode.DRAINING}
    assert (account.lost, account.duplicated, account.reordered, account.not_recovered) == (0, 0, 0, 0)
    assert account.received == account.due > 0
    assert publisher.failed == 0
    assert compose.running("nginx")[0]["State"]["StartedAt"] == started


def newest(inside: Inside) -> int:
    """Return the id of the last committed notification, or 0 if there is none."""
    return max((pk for pk, _at in committed(inside)), default=0)
