"""What is planted is what the books then find: each kind spoils one event of one client and no other."""

import json

import pytest

from loadtest.accounting import tally, together
from loadtest.ledger import Kind, Ledger
from loadtest.planting import AT_EVENT, KINDS, Planter, Planters

NAMES = {("e", n): f"notification {n}" for n in range(1, 11)}


def ledgers_through(planter):
    found = []
    for client in ("ada", "bob"):
        ledger = Ledger(client, late_seconds=1.0)
        ledger.resumed("e", 0, recovered=True, asked=None)
        for n in range(1, 11):
            delay, texts = planter.spoil(client, json.dumps({"offset": n}).encode())
            for text in texts:
                ledger.received(json.loads(text)["offset"], delay)
        found.append(ledger)
    return found


@pytest.mark.parametrize(
    ("kind", "found", "offset"),
    [
        ("drop", Kind.LOST, AT_EVENT),
        ("double", Kind.DUPLICATED, AT_EVENT),
        ("swap", Kind.REORDERED, AT_EVENT),
        ("delay", Kind.LATE, AT_EVENT),
    ],
)
def test_each_planted_fault_is_found_and_named(kind, found, offset):
    ledgers = ledgers_through(Planter(kind, delay_seconds=3.0))
    account = together([tally(ledgers, {"e": 10})], names=NAMES)
    [fault] = account.faults
    assert (fault.kind, fault.event, fault.client) == (found, f"notification {offset}", "ada")


def test_starving_spoils_no_event():
    found = tally(ledgers_through(Planter("starve", 1.0)), {"e": 10})
    assert not found.faults
    assert found.arrived == found.due == 20


def test_unknown_fault_is_refused():
    with pytest.raises(ValueError, match=f"known are {', '.join(KINDS)}"):
        Planter("melt", 1.0)


def test_several_faults_are_each_at_a_client_of_its_own():
    planters = Planters(["drop", "double"], 3.0)
    found = tally(ledgers_through(planters), {"e": 10})
    assert [(fault.kind, fault.client) for fault in found.faults] == [(Kind.LOST, "ada"), (Kind.DUPLICATED, "bob")]


@pytest.mark.parametrize("kind", ["drop", "swap", "delay"])
def test_fault_whose_client_leaves_before_anybody_could_tell_is_planted_anew(kind):
    planter = Planter(kind, 3.0)
    for client in ("ada", "bob"):
        for n in range(AT_EVENT):
            planter.spoil(client, b"%d" % n)
        assert planter.client == client
        planter.left("eve")
        planter.left("ada")
    planter.spoil("bob", b"later")
    planter.left("bob")
    assert planter.client == "bob"


def test_client_that_leaves_before_its_turn_leaves_the_fault_to_another():
    planter = Planter("drop", 3.0)
    for n in range(AT_EVENT - 1):
        assert planter.spoil("gone", b"%d" % n) == (0.0, (b"%d" % n,))
    came = [planter.spoil("ada", b"%d" % n)[1] for n in range(AT_EVENT)]
    assert came == [(b"0",), (b"1",), (b"2",), (b"3",), ()]
