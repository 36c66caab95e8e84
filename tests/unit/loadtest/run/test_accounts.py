"""The accounts of a process: the names of events, and its sums over pages and rooms."""

from loadtest.run.accounts import Accounts, Save, event_name
from loadtest.run.objectives import Objectives
from loadtest.run.rooms import Numbered, Series
from loadtest.run.run_state import Run
from testkit.delivery_ledger import Kind


def test_notification_of_the_dashboard_has_its_number_and_title():
    event = {"type": "notification.created", "offset": 3, "notification_id": 7, "verb": "updated", "title": "Tide"}
    assert event_name(event) == "notification 7 (updated 'Tide')"


def test_event_of_another_product_has_its_type_and_id():
    """A stream of another product failed the load test by a KeyError."""
    accounts = Accounts()
    accounts.published("5f", {"type": "order.paid", "id": "e9", "offset": 3}, 1.0)
    assert accounts.names == {("5f", 3): "order.paid e9"}
    assert accounts.save_of({"type": "order.paid", "id": "e9", "offset": 3}) is None


def test_messages_of_rooms_are_no_part_of_the_sum_over_pages():
    """No page is counted for a room, so that each of its messages would be unexplained."""
    accounts = Accounts()
    stay = accounts.rooms.enter("ada", "hall", 1.0)
    for number in (1, 2, 3):
        accounts.rooms.sent(Series("hall", "bob"), number, 5.0)
    accounts.rooms.received(stay, Numbered("bob", 1), 5.0)
    total = accounts.tally(now=9.0)
    assert (total.due, total.arrived, total.counts[Kind.LOST]) == (3, 1, 2)
    assert (total.offered, total.unexplained) == (0, 0)


def test_run_of_rooms_fails_by_a_lost_message():
    """The verdict counts faults by second."""
    run = Run(Objectives.read(), lambda **_request: None, clock=lambda: 1000.0)
    run.accounts.rooms.enter("ada", "hall", 1000.0)
    run.accounts.rooms.sent(Series("hall", "bob"), 1, 1005.0)
    run.reconcile()
    assert run.fault_counts() == {Kind.LOST: 1}


def saved(offset, event_id):
    return {
        "type": "notification.created",
        "id": event_id,
        "offset": offset,
        "notification_id": offset,
        "verb": "updated",
        "title": "plan, save 1 of ada",
    }


def test_save_that_is_published_twice_is_duplicated():
    """Each event arrived once at each client, and its page showed both."""
    accounts = Accounts(saves={"plan, save 1 of ada": Save(1.0)})
    accounts.published("5f", saved(3, "a"), 2.0)
    accounts.published("5f", saved(4, "b"), 3.0)
    account = accounts.reconcile(9.0)
    assert account.counts == {Kind.DUPLICATED: 1}
    assert str(account.faults[0]) == (
        "duplicated: notification 4 (updated 'plan, save 1 of ada') (published again, with another id)"
    )


def test_event_that_is_published_again_with_its_id_is_no_duplicate():
    """A page drops it by its id: the outbox publishes at least once."""
    accounts = Accounts(saves={"plan, save 1 of ada": Save(1.0)})
    accounts.published("5f", saved(3, "a"), 2.0)
    accounts.published("5f", saved(4, "a"), 3.0)
    accounts.published("60", saved(1, "a"), 4.0)
    assert not accounts.reconcile(9.0).counts
