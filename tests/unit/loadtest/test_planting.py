"""What is planted is what the books then find: each kind spoils one event of one client and no other."""

import json

import pytest

from loadtest.accounting import Kind, Ledger, reconcile
from loadtest.planting import AT_EVENT, KINDS, Planter

NAMES = {("e", n): f"notification {n}" for n in range(1, 11)}


def ledgers_through(planter):
    found = []
    for client in ("ada", "bob"):
        ledger = Ledger(client)
        ledger.resumed("e", 0, recovered=True, asked=None)
        for n in range(1, 11):
            delay, texts = planter.spoil(client, json.dumps({"offset": n}))
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
    account = reconcile(ledgers, names=NAMES, end=("e", 10), late_seconds=1.0)
    [fault] = account.faults
    assert (fault.kind, fault.event, fault.client) == (found, f"notification {offset}", "ada")


def test_starving_spoils_no_event():
    account = reconcile(ledgers_through(Planter("starve", 1.0)), names=NAMES, end=("e", 10), late_seconds=1.0)
    assert not account.faults


def test_unknown_fault_is_refused():
    with pytest.raises(ValueError, match=f"known are {', '.join(KINDS)}"):
        Planter("melt", 1.0)
