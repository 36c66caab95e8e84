"""The accounts of a process: the names of events."""

from loadtest.run.accounts import Accounts, event_name


def test_notification_of_the_dashboard_has_its_number_and_title():
    event = {"type": "notification.created", "offset": 3, "notification_id": 7, "verb": "updated", "title": "Tide"}
    assert event_name(event) == "notification 7 (updated 'Tide')"


def test_event_of_another_product_has_its_type_and_id():
    """A stream of another product failed the load test by a KeyError."""
    accounts = Accounts()
    accounts.published("5f", {"type": "order.paid", "id": "e9", "offset": 3})
    assert accounts.names == {("5f", 3): "order.paid e9"}
    assert accounts.save_of({"type": "order.paid", "id": "e9", "offset": 3}) is None
