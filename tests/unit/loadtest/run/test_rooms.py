"""The accounts of numbered messages without a history: the messages due to each stay in a room, and differences."""

import pytest

from loadtest.run.rooms import GRACE_SECONDS, Numbered, Rooms, Series
from testkit.delivery_ledger import FAULTS_KEPT, Kind
from testkit.reconciliation import UNKNOWN

ADA = Series("hall", "ada#1")
SINCE = 100.0
LATE_SECONDS = 5.0


@pytest.fixture
def rooms():
    return Rooms(LATE_SECONDS)


def send(rooms, *seconds, series=ADA, shared=False):
    """Send the next messages at these times."""
    start = len(rooms._log(series).times) + 1
    for number, at in enumerate(seconds, start):
        rooms.sent(series, number, at, shared=shared)


def receive(rooms, stay, *numbers, sender=ADA.sender, sent=None, now=0.0):
    for number in numbers:
        rooms.received(stay, Numbered(sender, number, sent), now)


def wrong(rooms):
    return {kind.value: count for kind, count in rooms.tally().counts.items() if count}


def test_messages_that_arrive_once_in_order_are_right(rooms):
    stays = [rooms.enter(name, "hall", SINCE) for name in ("bob", "eve")]
    send(rooms, 102, 103, 104)
    for stay in stays:
        receive(rooms, stay, 1, 2, 3)
    total = rooms.tally()
    assert (total.clients, total.due, total.arrived) == (2, 6, 6)
    assert wrong(rooms) == {}
    assert rooms.is_even()


@pytest.mark.parametrize(
    ("numbers", "counts"),
    [
        ((1, 3), {"lost": 1}),
        ((1, 2), {"lost": 1}),
        ((2, 3), {"lost": 1}),
        ((), {"lost": 3}),
        ((1, 2, 2, 3), {"duplicated": 1}),
        ((1, 2, 3, 1), {"duplicated": 1}),
        ((1, 3, 2), {"reordered": 1}),
        ((2, 1, 3), {"reordered": 1}),
        ((3, 1), {"lost": 1, "reordered": 1}),
        ((3, 1, 2, 2), {"reordered": 2, "duplicated": 1}),
    ],
)
def test_each_difference_has_its_kind(rooms, numbers, counts):
    stay = rooms.enter("bob", "hall", SINCE)
    send(rooms, 102, 103, 104)
    receive(rooms, stay, *numbers)
    assert wrong(rooms) == counts
    assert rooms.tally().due == 3
    assert rooms.is_even() == ("lost" not in counts)


def test_client_that_hears_nothing_is_due_everything_that_was_sent_to_its_room(rooms):
    """A deaf socket must not be due nothing."""
    rooms.enter("deaf", "hall", SINCE)
    rooms.enter("elsewhere", "cellar", SINCE)
    send(rooms, 102, 103)
    total = rooms.tally()
    assert [str(fault) for fault in total.faults] == [
        "lost: message 1 of ada#1 in hall at deaf (0 received)",
        "lost: message 2 of ada#1 in hall at deaf (0 received)",
    ]


def test_messages_around_the_ends_of_a_stay_may_be_missing_and_are_counted(rooms):
    stay = rooms.enter("bob", "hall", SINCE)
    send(rooms, 99.0, SINCE + GRACE_SECONDS / 2, 103.0, 109.5, 111.0)
    stay.until = 110.0
    receive(rooms, stay, 3)
    assert wrong(rooms) == {}
    assert rooms.tally().due == 1
    # Those of the first and the last second; before and after its stay, a client is due nothing.
    assert rooms.excused() == 2


def test_message_around_the_ends_of_a_stay_counts_if_it_arrives(rooms):
    stay = rooms.enter("bob", "hall", SINCE)
    send(rooms, SINCE + GRACE_SECONDS / 2, 103.0)
    receive(rooms, stay, 1, 2)
    assert (rooms.tally().due, rooms.tally().arrived, rooms.excused()) == (2, 2, 0)


def test_late_message_is_late(rooms):
    stay = rooms.enter("bob", "hall", SINCE)
    send(rooms, 102.0, 103.0)
    receive(rooms, stay, 1, sent=102.0, now=102.0 + LATE_SECONDS)
    receive(rooms, stay, 2, sent=103.0, now=103.1 + LATE_SECONDS)
    assert wrong(rooms) == {"late": 1}


def test_each_fault_counts_in_the_second_in_which_its_message_was_sent(rooms):
    """The steps of a search, and the verdict on them, count faults by second."""
    bob = rooms.enter("bob", "hall", SINCE)
    send(rooms, 102.0, 103.0, 104.0, 105.0)
    receive(rooms, bob, 1, 1, 2, sent=102.0, now=102.5)
    receive(rooms, bob, 4, sent=105.0, now=105.5 + LATE_SECONDS)
    assert rooms.tally(second_of=lambda at: int(at - SINCE)).seconds == {
        (Kind.DUPLICATED, 2): 1,
        (Kind.LOST, 4): 1,
        (Kind.LATE, 5): 1,
    }


def test_faults_that_are_too_many_to_be_kept_count_without_a_second(rooms):
    bob = rooms.enter("bob", "hall", SINCE)
    send(rooms, 102.0)
    receive(rooms, bob, *[1] * (FAULTS_KEPT + 4))
    total = rooms.tally()
    assert total.counts == {Kind.DUPLICATED: FAULTS_KEPT + 3}
    assert total.seconds == {(Kind.DUPLICATED, 102): FAULTS_KEPT, (Kind.DUPLICATED, UNKNOWN): 3}


def test_message_of_an_unknown_sender_is_due_to_all_in_the_room(rooms):
    """The server numbers a room's messages, or the sender is no client of the load test."""
    bob, eve = (rooms.enter(name, "hall", SINCE) for name in ("bob", "eve"))
    receive(rooms, bob, 1, 2, sender="", now=103.0)
    receive(rooms, eve, 1, sender="", now=103.0)
    [fault] = rooms.tally().faults
    assert (fault.kind, fault.event, fault.client) == (Kind.LOST, "message 2 in hall", "eve")


def test_messages_of_a_lost_connection_are_due_up_to_shortly_before(rooms):
    rooms.enter("bob", "hall", SINCE)
    send(rooms, 102.0, 109.5)
    rooms.withdraw(ADA, 109.0)
    assert wrong(rooms) == {"lost": 1}
    assert [number for _, number, _ in rooms.unshared(1000.0)] == [1]


def test_in_mid_run_a_message_is_on_its_way_until_it_is_late(rooms):
    rooms.enter("bob", "hall", SINCE)
    send(rooms, 102.0, 103.0, 109.0)
    # The newest message is of 109 s, so those before 104 s are late by now.
    assert rooms.tally(as_it_stands=True).counts[Kind.LOST] == 2
    assert rooms.tally().counts[Kind.LOST] == 3


def test_each_message_is_shared_with_other_processes_once(rooms):
    send(rooms, 102.0, 103.0, 109.0)
    send(rooms, 102.0, series=Series("hall", "eve#1"), shared=True)
    assert rooms.unshared(105.0) == [(ADA, 1, 102.0), (ADA, 2, 103.0)]
    assert rooms.unshared(110.0) == [(ADA, 3, 109.0)]


def test_each_connection_of_a_client_is_another_sender(rooms):
    assert [rooms.new_sender("ada"), rooms.new_sender("bob"), rooms.new_sender("ada")] == ["ada#1", "bob#1", "ada#2"]
