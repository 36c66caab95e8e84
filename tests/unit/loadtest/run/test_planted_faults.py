"""Each planted fault is found: each kind changes one event of one client and no other."""

import json

import pytest

from loadtest.run.planted_faults import AT_EVENT, KINDS, PlantedFaults
from testkit.delivery_ledger import Kind, Ledger
from testkit.publications import Publications
from testkit.reconciliation import merged, tally

EVENTS = range(1, 11)
NAMES = {("e", n): f"notification {n}" for n in EVENTS}


def ledgers_through(*kinds):
    """Two clients receive each event in turn, as in a run. A delay ends after two more events."""
    planters = PlantedFaults(kinds, 3.0)
    ledgers = {client: Ledger(client, ("e", 0), late_seconds=1.0) for client in ("ada", "bob")}
    delayed = {}
    for n in EVENTS:
        for client, ledger in ledgers.items():
            delay, texts = planters.damage(client, json.dumps({"offset": n}).encode())
            for text in texts:
                ledger.received(json.loads(text)["offset"], 0.0)
            if delay:
                delayed[client] = n + 2
            if delayed.get(client) == n:
                for text in planters.release(client):
                    late = json.loads(text)["offset"] == AT_EVENT
                    ledger.received(json.loads(text)["offset"], 3.0 if late else 0.0)
    return list(ledgers.values())


@pytest.mark.parametrize(
    ("kind", "found"),
    [("drop", Kind.LOST), ("double", Kind.DUPLICATED), ("swap", Kind.REORDERED), ("delay", Kind.LATE)],
)
def test_each_planted_fault_is_found_and_named(kind, found):
    account = merged([tally(ledgers_through(kind), Publications({"e": 10}))], names=NAMES)
    [fault] = account.faults
    assert (fault.kind, fault.event, fault.client) == (found, f"notification {AT_EVENT}", "ada")


def test_starving_spoils_no_event():
    found = tally(ledgers_through("starve"), Publications({"e": 10}))
    assert not found.faults
    assert found.arrived == found.due == 20


def test_unknown_fault_is_refused():
    with pytest.raises(ValueError, match=f"known are {', '.join(KINDS)}"):
        PlantedFaults(["drop", "melt"], 1.0)


def test_several_faults_are_each_at_a_client_of_its_own_and_soon():
    found = tally(ledgers_through("drop", "double"), Publications({"e": 10}))
    assert [(fault.kind, fault.client, fault.at) for fault in found.faults] == [
        (Kind.LOST, "ada", ("e", AT_EVENT)),
        (Kind.DUPLICATED, "bob", ("e", AT_EVENT)),
    ]


def received(planters, client, *texts):
    """Return the messages that the client receives at once for each of these events."""
    return [tuple(planters.damage(client, text)[1]) for text in texts]


IN_ORDER = [b"%d" % n for n in range(1, AT_EVENT)]


@pytest.mark.parametrize("kind", ["drop", "swap", "delay"])
def test_fault_whose_socket_ends_before_its_damage_is_final_goes_to_another_client(kind):
    planters = PlantedFaults([kind], 3.0)
    for client in ("ada", "bob"):
        assert received(planters, client, *IN_ORDER) == [(text,) for text in IN_ORDER]
    assert received(planters, "ada", b"damaged") == [()]
    planters.socket_ended("ada")
    # The new socket receives the event again, and nothing of the old one.
    assert received(planters, "ada", b"damaged", b"later") == [(b"damaged",), (b"later",)]
    assert planters.release("ada") == ()
    assert received(planters, "bob", b"damaged") == [()]


@pytest.mark.parametrize(
    ("kind", "at_once", "released"),
    [
        ("drop", [(), (b"next",)], []),
        ("double", [(b"damaged", b"damaged"), (b"next",)], []),
        ("swap", [(), (b"next", b"damaged")], []),
        ("delay", [(), ()], [b"damaged", b"next"]),
    ],
)
def test_fault_whose_damage_is_final_is_never_planted_again(kind, at_once, released):
    planters = PlantedFaults([kind], 3.0)
    received(planters, "ada", *IN_ORDER)
    assert received(planters, "ada", b"damaged", b"next") == at_once
    assert list(planters.release("ada")) == released
    planters.socket_ended("ada")
    for client in ("ada", "bob"):
        texts = [*IN_ORDER, b"damaged", b"next"]
        assert received(planters, client, *texts) == [(text,) for text in texts]


def test_delayed_events_of_a_socket_that_ended_are_not_released():
    planters = PlantedFaults(["delay"], 3.0)
    received(planters, "ada", *IN_ORDER, b"damaged", b"next")
    planters.socket_ended("ada")
    received(planters, "bob", *IN_ORDER, b"of bob")
    assert planters.release("ada") == ()
    assert list(planters.release("bob")) == [b"of bob"]


def test_client_that_loses_its_socket_must_receive_a_few_events_again():
    planters = PlantedFaults(["drop"], 3.0)
    for _ in range(3):
        assert received(planters, "ada", *IN_ORDER) == [(text,) for text in IN_ORDER]
        planters.socket_ended("ada")
    assert received(planters, "bob", *IN_ORDER, b"damaged")[-1] == ()


@pytest.mark.parametrize(("kind", "completed"), [("drop", (b"next",)), ("swap", (b"next", b"damaged"))])
def test_fault_begins_only_in_the_hold_and_is_completed_after_it(kind, completed):
    planters = PlantedFaults([kind], 3.0)
    received(planters, "ada", *IN_ORDER)
    assert planters.damage("ada", b"early", may_begin=False) == (0.0, (b"early",))
    assert received(planters, "ada", b"damaged") == [()]
    assert planters.damage("ada", b"next", may_begin=False) == (0.0, completed)
