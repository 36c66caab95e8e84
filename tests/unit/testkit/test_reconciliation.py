"""Each planted fault is found and named, and a clean run has none."""

import pytest

from testkit.delivery_ledger import FAULTS_KEPT, Kind, Ledger
from testkit.reconciliation import merged, stream_ends, tally

NAMES = {("e", n): f"notification {n} of plan" for n in range(1, 11)}


def ledger(client="ada", *, after=0, offsets=range(1, 11), seconds=0.01):
    new_ledger = Ledger(client, late_seconds=1.0)
    new_ledger.resumed("e", after, recovered=True, asked=("e", after))
    for offset in offsets:
        new_ledger.received(offset, seconds)
    return new_ledger


def account(*ledgers, end=("e", 10), names=NAMES, **more):
    return merged([tally(ledgers, stream_ends(ledgers, further=names, end=end))], names=names, **more)


def only_fault(reconciled):
    [fault] = reconciled.faults
    assert reconciled.counts == {fault.kind: 1}
    return fault


def test_whole_delivery_has_no_fault():
    reconciled = account(ledger("ada"), ledger("bob", after=4, offsets=range(5, 11)))
    assert (reconciled.due, reconciled.arrived, reconciled.clients, reconciled.published) == (16, 16, 2, 10)
    assert not reconciled.counts
    assert not reconciled.faults


def test_one_dropped_event_is_lost_and_named():
    fault = only_fault(account(ledger("ada"), ledger("bob", offsets=[1, 2, 3, 5, 6, 7, 8, 9, 10])))
    assert str(fault) == "lost: notification 4 of plan at bob (position e:0, 9 received)"


def test_last_event_is_missed_too():
    fault = only_fault(account(ledger("ada"), ledger("bob", offsets=range(1, 10))))
    assert str(fault) == "lost: notification 10 of plan at bob (position e:0, 9 received)"


def test_event_that_nobody_got_is_known_from_where_the_stream_ended():
    names = {at: name for at, name in NAMES.items() if at[1] != 10}
    reconciled = account(ledger("ada", offsets=range(1, 10)), names=names)
    assert str(only_fault(reconciled)) == "lost: event e:10, which no client received at ada (position e:0, 9 received)"


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
    ada = ledger(offsets=range(1, 6))
    ada.resumed("e", 5, recovered=True, asked=("e", 5))
    for offset in range(6, 11):
        ada.received(offset, None)
    assert not account(ada).faults


def test_gap_across_a_reconnect_is_lost_whatever_the_server_says():
    ada = ledger(offsets=range(1, 6))
    ada.resumed("e", 6, recovered=True, asked=("e", 5), when="at 7 s")
    for offset in range(7, 11):
        ada.received(offset, 0.0)
    assert str(only_fault(account(ada))) == "lost: notification 6 of plan at ada (position e:6, at 7 s, 9 received)"


def test_what_a_client_was_told_it_cannot_have_is_forgotten_and_not_lost():
    ada = ledger(offsets=range(1, 6))
    ada.resumed("e", 7, recovered=False, asked=("e", 5))
    for offset in range(8, 11):
        ada.received(offset, 0.0)
    reconciled = account(ada)
    assert reconciled.counts == {Kind.FORGOTTEN: 2}
    assert [fault.event for fault in reconciled.faults] == ["notification 6 of plan", "notification 7 of plan"]


def test_first_socket_may_be_told_so_too():
    ada = Ledger("ada")
    ada.resumed("e", 9, recovered=False, asked=("e", 7))
    ada.received(10, 0.0)
    assert account(ada).counts == {Kind.FORGOTTEN: 2}


def test_new_epoch_begins_a_new_count():
    ada = ledger(offsets=range(1, 11))
    ada.resumed("f", 0, recovered=False, asked=("e", 10))
    ada.received(1, 0.0)
    reconciled = account(ada, names={**NAMES, ("f", 1): "notification 11"}, end=("f", 1))
    assert not reconciled.faults
    assert reconciled.due == 11


def test_who_leaves_is_due_nothing_more():
    leaver = ledger(offsets=range(1, 5))
    leaver.left()
    assert not account(leaver, ledger("bob")).faults


def test_save_that_nobody_heard_of_is_unpublished():
    reconciled = account(ledger(), confirmed=["save 1", "save 2"], announced=["save 1"])
    assert str(only_fault(reconciled)) == "unpublished: save 'save 2'"


def test_faults_are_bounded_and_their_counts_are_not():
    names = {("e", n): f"notification {n}" for n in range(1, 1001)}
    reconciled = account(ledger(offsets=[]), names=names, end=("e", 1000))
    assert len(reconciled.faults) == FAULTS_KEPT
    assert reconciled.counts == {Kind.LOST: 1000}


def test_event_before_the_first_position_is_an_error():
    with pytest.raises(ValueError, match="ada: event 1 arrived before"):
        Ledger("ada").received(1, 0.0)


def test_position_is_where_a_client_resumes_from():
    ada = ledger(after=3, offsets=[])
    assert ada.position == ("e", 3)
    ada.received(5, 0.0)
    ada.received(4, 0.0)
    assert ada.position == ("e", 5)
    ada.resumed("e", 8, recovered=False, asked=("e", 5))
    assert ada.position == ("e", 8)
