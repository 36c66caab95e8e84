"""Each planted fault is found: each kind changes one event of one client and no other."""

import json

import pytest

from loadtest.run.planted_faults import AT_EVENT, KINDS, PlantedFaults
from testkit.delivery_ledger import Kind, Ledger
from testkit.reconciliation import merged, tally

EVENTS = range(1, 11)
NAMES = {("e", n): f"notification {n}" for n in EVENTS}


def ledgers_through(*kinds):
    """Two clients receive each event in turn, as in a run."""
    planters = PlantedFaults(kinds, 3.0)
    ledgers = {client: Ledger(client, late_seconds=1.0) for client in ("ada", "bob")}
    for ledger in ledgers.values():
        ledger.resumed("e", 0, recovered=True, asked=None)
    for n in EVENTS:
        for client, ledger in ledgers.items():
            delay, texts = planters.damage(client, json.dumps({"offset": n}).encode())
            for text in texts:
                ledger.received(json.loads(text)["offset"], delay)
    return list(ledgers.values())


@pytest.mark.parametrize(
    ("kind", "found"),
    [("drop", Kind.LOST), ("double", Kind.DUPLICATED), ("swap", Kind.REORDERED), ("delay", Kind.LATE)],
)
def test_each_planted_fault_is_found_and_named(kind, found):
    account = merged([tally(ledgers_through(kind), {"e": 10})], names=NAMES)
    [fault] = account.faults
    assert (fault.kind, fault.event, fault.client) == (found, f"notification {AT_EVENT}", "ada")


def test_starving_spoils_no_event():
    found = tally(ledgers_through("starve"), {"e": 10})
    assert not found.faults
    assert found.arrived == found.due == 20


def test_unknown_fault_is_refused():
    with pytest.raises(ValueError, match=f"known are {', '.join(KINDS)}"):
        PlantedFaults(["drop", "melt"], 1.0)


def test_several_faults_are_each_at_a_client_of_its_own_and_soon():
    found = tally(ledgers_through("drop", "double"), {"e": 10})
    assert [(fault.kind, fault.client, fault.at) for fault in found.faults] == [
        (Kind.LOST, "ada", ("e", AT_EVENT)),
        (Kind.DUPLICATED, "bob", ("e", AT_EVENT)),
    ]


@pytest.mark.parametrize("kind", ["drop", "swap", "delay"])
def test_fault_whose_client_leaves_before_anybody_could_tell_is_planted_anew(kind):
    planters = PlantedFaults([kind], 3.0)
    for n in range(AT_EVENT - 1):
        for client in ("ada", "bob", "eve"):
            assert planters.damage(client, b"%d" % n) == (0.0, (b"%d" % n,))
    assert planters.damage("ada", b"spoiled") != (0.0, (b"spoiled",))
    planters.left("eve")
    assert planters.damage("bob", b"in order") == (0.0, (b"in order",))
    planters.left("ada")
    assert planters.damage("bob", b"spoiled") != (0.0, (b"spoiled",))
    planters.damage("bob", b"later")
    planters.left("bob")
    assert planters.damage("eve", b"in order") == (0.0, (b"in order",))


def test_client_that_leaves_before_its_turn_leaves_the_fault_to_another():
    planters = PlantedFaults(["drop"], 3.0)
    for n in range(AT_EVENT - 1):
        assert planters.damage("gone", b"%d" % n) == (0.0, (b"%d" % n,))
    planters.left("gone")
    came = [planters.damage("ada", b"%d" % n)[1] for n in range(AT_EVENT)]
    assert came == [(b"0",), (b"1",), (b"2",), (b"3",), ()]
