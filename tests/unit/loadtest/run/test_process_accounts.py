"""Accounts of several processes are merged into one run, which decides questions that no process can decide alone."""

import msgpack
import pytest

from loadtest.run import figures, process_accounts
from loadtest.run.accounts import Save
from loadtest.run.objectives import Objectives
from loadtest.run.run_state import Run
from testkit.delivery_ledger import Kind, Ledger


def make_run():
    return Run(Objectives.read(), lambda **_request: None, clock=lambda: 1000.0)


def event(offset, title="plan"):
    return {"offset": offset, "notification_id": offset + 40, "verb": "updated", "title": title}


def process(client, offsets, *, saves=(), end=None):
    """A process with one client that received these offsets."""
    run = make_run()
    ledger = Ledger(client, ("e", 0))
    run.accounts.open_page(ledger, ("e", 0), 1000.0)
    run.users.add(client)
    for offset in offsets:
        ledger.received(offset, 0.01)
        run.accounts.published("e", event(offset, title=f"save {offset}"), 1000.0)
        run.accounts.audience.read += 1
    run.accounts.saves = {mark: Save(1.0, confirmed=True) for mark in saves}
    run.accounts.end = end
    return run


def leave(run, at):
    """Leave the only page."""
    run.accounts.ledgers[0].left(at)
    run.accounts.audience.left(("e", 0), at)


def merged(*processes, ends):
    whole = make_run()
    for each in processes:
        process_accounts.add_to_run(whole, over_the_wire(process_accounts.ProcessAccounts(each).increment(ends)))
    return whole, whole.reconcile()


def over_the_wire(increment):
    """Encode and decode, as between processes."""
    return msgpack.loads(msgpack.dumps(increment), strict_map_key=False)


def test_what_came_everywhere_is_whole():
    _, account = merged(process("ada", [1, 2, 3]), process("bob", [1, 2, 3]), ends={"e": 3})
    assert (account.clients, account.due, account.arrived, account.published) == (2, 6, 6, 3)
    assert not account.counts


def test_event_that_a_whole_process_missed_is_lost_there_and_has_its_name():
    _, account = merged(process("ada", [1, 2, 3]), process("bob", [1, 2]), ends={"e": 3})
    [fault] = account.faults
    assert account.counts == {Kind.LOST: 1}
    assert str(fault) == "lost: notification 43 (updated 'save 3') at bob (no position, 2 received)"


def test_event_that_nobody_got_is_known_from_the_end_that_another_read():
    _, account = merged(process("ada", [1]), process("bob", [1], end=("e", 2)), ends={"e": 2})
    assert account.counts == {Kind.LOST: 2}
    assert "event e:2, which no client received at ada" in str(account.faults[0])


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


def test_increments_joined_are_the_whole_accounts():
    """Changes between two increments count once. A second that was incomplete must be sent again."""
    ada = process("ada", [1, 2], saves=["save 1"])
    ada.figures.latencies[figures.DELIVERY].add(0, 10.0)
    ada.figures.deliveries["notification.created"][0] += 1
    increments = process_accounts.ProcessAccounts(ada)
    accounts = process_accounts.joined({}, over_the_wire(increments.increment()))
    ada.accounts.ledgers[0].received(3, 0.01)
    ada.accounts.published("e", event(3, title="save 3"), 1000.0)
    ada.accounts.audience.read += 1
    ada.accounts.saves["save 3"] = Save(1.0, confirmed=True)
    ada.figures.latencies[figures.DELIVERY].add(0, 10.0)
    ada.figures.latencies[figures.DELIVERY].add(1, 20.0)
    ada.figures.deliveries["notification.created"][0] += 1
    accounts = process_accounts.joined(accounts, over_the_wire(increments.increment({"e": 3})))
    whole = make_run()
    process_accounts.add_to_run(whole, accounts)
    account = whole.reconcile()
    assert (account.due, account.arrived, account.published, account.counts) == (3, 3, 3, {})
    assert whole.accounts.confirmed == {"save 1", "save 3"}
    assert whole.figures.latencies[figures.DELIVERY].counts() == {10.0: 2, 20.0: 1}
    assert whole.figures.deliveries["notification.created"] == {0: 2}


def test_increment_of_mid_run_knows_what_is_on_its_way_from_what_was_passed_over():
    ada = process("ada", [1, 3])
    ada.accounts.publications.add("e", 5, 1000.0)
    account = process_accounts.ProcessAccounts(ada).increment()["account"]
    assert (account["due"], account["arrived"], account["on_the_way"], account["counts"]) == (3, 2, 2, {"lost": 1})


def test_accounts_of_a_lost_process_count_its_deliveries_and_not_its_users():
    whole = make_run()
    ada = process("ada", [1, 2])
    ada.online.add("ada")
    tally = process_accounts.add_to_run(
        whole, over_the_wire(process_accounts.ProcessAccounts(ada).increment()), is_whole=False
    )
    assert (tally.due, tally.arrived) == (2, 2)
    assert whole.reconcile().arrived == 2
    assert not whole.users
    assert not whole.online


def test_page_that_was_left_is_settled_and_its_ledger_kept_no_longer():
    run = process("ada", [1, 3])
    run.accounts.published("e", event(3), 1000.0)
    leave(run, 1000.0)
    run.accounts.published("e", event(4), 1000.1)
    account = run.reconcile()
    assert not run.accounts.ledgers
    assert (account.clients, account.due, account.arrived, account.counts) == (1, 3, 2, {Kind.LOST: 1})
    assert run.reconcile().due == 3


def test_failures_and_differences_of_a_process_are_joined_over_its_increments():
    ada = process("ada", [1])
    ada.figures.failures.note("GET /: connection refused", 0)
    # The next increment has only the seconds from this one on.
    ada.clock = lambda: 1002.0
    increments = process_accounts.ProcessAccounts(ada)
    accounts = process_accounts.joined({}, over_the_wire(increments.increment()))
    ada.figures.failures.note("GET /: connection refused", 3)
    # An event that was read and is in no ledger.
    ada.accounts.audience.read += 1
    accounts = process_accounts.joined(accounts, over_the_wire(increments.increment({"e": 1})))
    whole = make_run()
    process_accounts.add_to_run(whole, accounts)
    assert whole.reconcile().unexplained == 1
    assert whole.figures.failures.lines() == ["2 x GET /: connection refused (first: at 0 s)"]
