"""Clients of tests follow the page's client: backoff, and each event once."""

from testkit import page_client
from testkit.page_client import SeenIds, longest_delay


def test_backoff_doubles_up_to_its_limit():
    assert [longest_delay(attempt) for attempt in (0, 1, 2, 5, 6, 100)] == [0.5, 1.0, 2.0, 16.0, 30.0, 30.0]


def test_an_event_is_new_once(monkeypatch):
    monkeypatch.setattr(page_client, "SEEN_IDS", 2)
    seen = SeenIds()
    assert [seen.is_new(each) for each in ("a", "a", "b", "c")] == [True, False, True, True]
    # The oldest id was dropped.
    assert seen.is_new("a")
