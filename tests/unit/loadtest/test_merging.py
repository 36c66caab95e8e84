"""Books of several processes are one run's: what one alone could not know is settled over all."""

import json

import pytest

from loadtest import figures, merging
from loadtest.accounting import Kind, Ledger
from loadtest.run import Run, Save
from loadtest.verdict import Objectives


def make_run():
    return Run(Objectives.read(), lambda **_request: None, clock=lambda: 1000.0)


def event(offset, title="plan"):
    return {"offset": offset, "notification_id": offset + 40, "verb": "updated", "title": title}


def process(client, offsets, *, saves=(), end=None):
    """A process with one client that got these offsets."""
    run = make_run()
    ledger = Ledger(client)
    run.ledgers.append(ledger)
    run.users.add(client)
    ledger.resumed("e", 0, recovered=True, asked=("e", 0))
    for offset in offsets:
        ledger.received(offset, 0.01)
        run.published("e", event(offset, title=f"save {offset}"))
    run.saves = {mark: Save(1.0, confirmed=True) for mark in saves}
    run.end = end
    return run


def merged(*processes, ends):
    whole = make_run()
    for each in processes:
        # As it goes over the wire between processes.
        merging.take(whole, json.loads(json.dumps(merging.books(each, ends))))
    return whole, whole.settle_accounts()


def test_what_came_everywhere_is_whole():
    _, account = merged(process("ada", [1, 2, 3]), process("bob", [1, 2, 3]), ends={"e": 3})
    assert (account.clients, account.due, account.arrived, account.published) == (2, 6, 6, 3)
    assert not account.counts


def test_event_that_a_whole_process_missed_is_lost_there_and_has_its_name():
    _, account = merged(process("ada", [1, 2, 3]), process("bob", [1, 2]), ends={"e": 3})
    [fault] = account.faults
    assert account.counts == {Kind.LOST: 1}
    assert str(fault) == "lost: notification 43 (updated 'save 3') at bob (told e:0, 2 came)"


def test_event_that_nobody_got_is_known_from_the_end_that_another_read():
    _, account = merged(process("ada", [1]), process("bob", [1], end=("e", 2)), ends={"e": 2})
    assert account.counts == {Kind.LOST: 2}
    assert "event e:2, which nobody got at ada" in str(account.faults[0])


def test_save_is_heard_of_by_any_process():
    _, account = merged(process("ada", [1, 2], saves=["save 2"]), process("bob", [1, 2]), ends={"e": 2})
    assert not account.faults
    _, account = merged(process("ada", [1], saves=["save 9"]), process("bob", [1]), ends={"e": 1})
    assert str(account.faults[0]) == "unpublished: save 'save 9'"


def test_latencies_and_deliveries_add_up():
    ada, bob = process("ada", [1]), process("bob", [1])
    for run, value in ((ada, 10.0), (bob, 10.0), (bob, 900.0)):
        run.figures.latencies[figures.DELIVERY].add(7, value)
        run.figures.deliveries["notification.created"][7] += 1
    whole, _ = merged(ada, bob, ends={"e": 1})
    assert whole.figures.latencies[figures.DELIVERY].counts() == {10.0: 2, 900.0: 1}
    assert whole.figures.deliveries["notification.created"] == {7: 3}


def test_counts_that_disagree_across_processes_are_seen():
    ada, bob = process("ada", [1]), process("bob", [1])
    for run, name, count in ((ada, "ada", 3), (ada, "eve", 3), (bob, "bob", 1)):
        run.online.add(name)
        run.counts[name] = count
    whole, _ = merged(ada, bob, ends={"e": 1})
    assert whole.disagreements() == 1


@pytest.mark.parametrize("kind", [Kind.DUPLICATED, Kind.REORDERED])
def test_fault_of_any_process_is_the_runs(kind):
    offsets = {Kind.DUPLICATED: [1, 1, 2], Kind.REORDERED: [2, 1]}[kind]
    _, account = merged(process("ada", [1, 2]), process("bob", offsets), ends={"e": 2})
    assert account.counts == {kind: 1}
