"""Each planted fault is found and named, and a clean run has none."""

import pytest

from testkit.delivery_ledger import FAULTS_KEPT, Kind, Ledger
from testkit.publications import Publications
from testkit.reconciliation import UNKNOWN, Tally, merged, tally

NAMES = {("e", n): f"notification {n} of plan" for n in range(1, 11)}


def ledger(client="ada", *, after=0, offsets=range(1, 11), seconds=0.01):
    made = Ledger(client, ("e", after), late_seconds=1.0)
    made.resumed("e", after, recovered=True)
    for offset in offsets:
        made.received(offset, seconds)
    return made


def published(*epochs):
    """Ten events in each epoch, one a second from 1 s on."""
    made = Publications()
    for n, epoch in enumerate(epochs):
        for offset in range(1, 11):
            made.add(epoch, offset, 10.0 * n + offset)
    return made


def account(*ledgers, publications=None, names=NAMES, grace_seconds=0.0, **more):
    found = tally(ledgers, publications or published("e"), grace_seconds=grace_seconds)
    return merged([found], names=names, **more)


def only_fault(found):
    [fault] = found.faults
    assert found.counts == {fault.kind: 1}
    return fault


def test_whole_delivery_has_no_fault():
    found = account(ledger("ada"), ledger("bob", after=4, offsets=range(5, 11)))
    assert (found.due, found.arrived, found.clients, found.published) == (16, 16, 2, 10)
    assert not found.counts
    assert not found.faults


def test_one_dropped_event_is_lost_and_named():
    fault = only_fault(account(ledger("ada"), ledger("bob", offsets=[1, 2, 3, 5, 6, 7, 8, 9, 10])))
    assert str(fault) == "lost: notification 4 of plan at bob (position e:0, 9 received)"


def test_last_event_is_missed_too():
    fault = only_fault(account(ledger("ada"), ledger("bob", offsets=range(1, 10))))
    assert str(fault) == "lost: notification 10 of plan at bob (position e:0, 9 received)"


def test_event_that_nobody_got_is_known_from_where_the_stream_ended():
    names = {at: name for at, name in NAMES.items() if at[1] != 10}
    found = account(ledger("ada", offsets=range(1, 10)), names=names)
    assert str(only_fault(found)) == "lost: event e:10, which no client received at ada (position e:0, 9 received)"


def test_one_doubled_event_is_named():
    fault = only_fault(account(ledger(offsets=[1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10])))
    assert str(fault) == "duplicated: notification 3 of plan at ada (time 2)"


def test_event_from_before_the_page_is_doubled():
    fault = only_fault(account(ledger(after=2, offsets=[2, *range(3, 11)])))
    assert (fault.kind, fault.event) == (Kind.DUPLICATED, "notification 2 of plan")


def test_two_swapped_events_are_one_reordering():
    fault = only_fault(account(ledger(offsets=[1, 2, 4, 3, 5, 6, 7, 8, 9, 10])))
    assert str(fault) == "reordered: notification 3 of plan at ada (after offset 4)"


def test_delayed_event_is_late_and_named():
    slow = ledger(offsets=range(1, 10))
    slow.received(10, 1.5)
    assert str(only_fault(account(slow))) == "late: notification 10 of plan at ada (after 1.50 s)"


def test_what_a_resume_made_up_for_is_not_late():
    made = ledger(offsets=range(1, 6))
    made.resumed("e", 5, recovered=True)
    for offset in range(6, 11):
        made.received(offset, None)
    assert not account(made).faults


def test_gap_across_a_reconnect_is_lost_whatever_the_server_says():
    made = ledger(offsets=range(1, 6))
    made.resumed("e", 6, recovered=True, when="at 7 s")
    for offset in range(7, 11):
        made.received(offset, 0.0)
    assert str(only_fault(account(made))) == "lost: notification 6 of plan at ada (position e:6, at 7 s, 9 received)"


def test_what_a_client_was_told_it_cannot_have_is_forgotten_and_not_lost():
    made = ledger(offsets=range(1, 6))
    made.resumed("e", 7, recovered=False)
    for offset in range(8, 11):
        made.received(offset, 0.0)
    found = account(made)
    assert found.counts == {Kind.FORGOTTEN: 2}
    assert [fault.event for fault in found.faults] == ["notification 6 of plan", "notification 7 of plan"]


def test_first_socket_may_be_told_so_too():
    made = Ledger("ada", ("e", 7))
    made.resumed("e", 9, recovered=False)
    made.received(10, 0.0)
    assert account(made).counts == {Kind.FORGOTTEN: 2}


def test_position_of_a_socket_takes_nothing_off_what_its_page_is_due():
    """The server says that the socket begins at the end of the stream, and sends nothing."""
    made = Ledger("ada", ("e", 7))
    made.resumed("e", 10, recovered=True)
    found = account(made)
    assert (found.due, found.counts) == (3, {Kind.LOST: 3})


def test_client_whose_socket_never_got_a_message_is_due_all_events_after_its_page():
    found = account(Ledger("ada", ("e", 7)))
    assert (found.due, found.counts) == (3, {Kind.LOST: 3})
    assert str(found.faults[0]) == "lost: notification 8 of plan at ada (no position, 0 received)"


def test_client_without_a_page_is_due_what_follows_its_first_position():
    made = Ledger("ada")
    made.resumed("e", 7, recovered=True)
    assert account(made).due == 3


def test_new_epoch_is_due_from_its_beginning_and_the_former_one_to_its_end():
    made = ledger(offsets=range(1, 9))
    made.resumed("f", 3, recovered=False)
    for offset in range(4, 11):
        made.received(offset, 0.0)
    found = account(made, publications=published("e", "f"))
    assert (found.due, found.arrived, found.counts) == (20, 15, {Kind.FORGOTTEN: 5})


def test_epoch_that_a_client_never_heard_of_is_lost():
    found = account(ledger(), publications=published("e", "f"))
    assert (found.due, found.arrived, found.counts) == (20, 10, {Kind.LOST: 10})


@pytest.mark.parametrize(("left_at", "due", "missed", "in_grace"), [(8.0, 6, 2, 2), (8.5, 6, 2, 2), (5.0, 4, 0, 1)])
def test_page_that_is_left_is_due_what_was_published_before_less_the_grace(left_at, due, missed, in_grace):
    gone = ledger(offsets=range(1, 5))
    gone.left(left_at)
    found = account(gone, ledger("bob"), grace_seconds=2.0)
    assert found.due == due + 10
    assert found.counts == ({Kind.MISSED: missed} if missed else {})
    assert found.in_grace == in_grace


@pytest.mark.parametrize(
    ("ready_at", "is_offline", "missed"),
    [(5.0, False, 2), (7.0, False, 0), (0.0, True, 0)],
    ids=["ready", "new", "offline"],
)
def test_page_that_is_left_is_due_nothing_more_if_it_was_not_ready_for_the_grace(ready_at, is_offline, missed):
    gone = ledger(offsets=range(1, 5))
    gone.ready_at, gone.is_offline = ready_at, is_offline
    gone.left(8.0)
    found = account(gone, grace_seconds=2.0)
    assert (found.counts.get(Kind.MISSED, 0), found.in_grace) == (missed, 4 - missed)


def test_client_whose_connection_was_not_taken_away_stays_ready():
    made = ledger()
    made.ready_at = 3.0
    made.came_online(9.0)
    assert made.ready_at == 3.0
    made.is_offline = True
    made.came_online(9.0)
    assert (made.ready_at, made.is_offline) == (9.0, False)


def test_event_that_a_page_skipped_is_lost_even_within_the_grace():
    gone = ledger(offsets=[1, 2, 4])
    gone.left(4.0)
    assert account(gone, grace_seconds=9.0).counts == {Kind.LOST: 1}


def test_client_whose_own_code_failed_is_due_nothing_more_and_what_it_did_not_read_is_counted():
    broken = ledger(offsets=range(1, 5))
    broken.failed(7.0)
    found = account(broken, ledger("bob"))
    assert (found.due, found.unread, found.counts) == (14, 3, {})


def test_faults_are_counted_by_the_second_of_their_publication():
    slow = ledger(offsets=[1, 2, 4, 5])
    slow.received(6, 1.5)
    found = account(slow, publications=Publications({"e": 7} | {}))
    assert found.seconds == {(Kind.LATE, UNKNOWN): 1, (Kind.LOST, UNKNOWN): 2}
    assert account(slow).seconds == {
        (Kind.LATE, 6): 1,
        **{(Kind.LOST, second): 1 for second in (3, 7, 8, 9, 10)},
    }


@pytest.mark.parametrize(
    ("offered", "read", "unexplained"), [(10, 9, 0), (10, 8, 1), (11, 9, 1)], ids=["whole", "not read", "not due"]
)
def test_sum_over_all_is_explained_by_named_differences_or_is_not(offered, read, unexplained):
    found = tally([ledger(offsets=[1, 2, 3, 5, 6, 7, 8, 9, 10])], published("e"))
    found.check_sum(offered, read)
    assert found.unexplained == unexplained


def test_differences_of_two_processes_do_not_make_up_for_each_other():
    whole = Tally()
    whole.add(Tally(unexplained=3))
    whole.add(Tally(unexplained=-3))
    assert whole.unexplained == 6


def test_save_that_nobody_heard_of_is_unpublished():
    found = account(ledger(), confirmed=["save 1", "save 2"], announced=["save 1"])
    assert str(only_fault(found)) == "unpublished: save 'save 2'"


def test_faults_are_bounded_and_their_counts_are_not():
    names = {("e", n): f"notification {n}" for n in range(1, 1001)}
    found = account(ledger(offsets=[]), names=names, publications=Publications({"e": 1000}))
    assert len(found.faults) == FAULTS_KEPT
    assert found.counts == {Kind.LOST: 1000}


def test_event_before_the_first_position_is_an_error():
    with pytest.raises(ValueError, match="ada: event 1 arrived before"):
        Ledger("ada").received(1, 0.0)


def test_position_is_where_a_client_resumes_from():
    made = ledger(after=3, offsets=[])
    assert made.position == ("e", 3)
    made.received(5, 0.0)
    made.received(4, 0.0)
    assert made.position == ("e", 5)
    made.resumed("e", 8, recovered=False)
    assert made.position == ("e", 8)
