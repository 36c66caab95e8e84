"""The accounted client behaves as client.js: it records the notifications that a page would show."""

import json

from tests.faults.client import Client, Page

NEWS = {
    "type": "notification.created",
    "topic": "notifications",
    "id": "a",
    "offset": 3,
    "mark": "a3",
    "notification_id": 7,
    "sequence": 7,
    "at": "2026-11-24T08:00:00Z",
}


def client():
    return Client(Page("ada", "", "/ws/notifications/"), port=1, late=lambda _seconds: None)


def receive(one, **changes):
    one._received(json.dumps(NEWS | changes).encode())


def test_an_event_is_shown_once_by_its_id():
    """A repeat with the same id is dropped; the same notification with another id is shown twice, and counted."""
    one = client()
    receive(one)
    receive(one, offset=4)
    receive(one, id="b", offset=5)
    assert list(one.diary.shown) == [7, 7]
    assert one.diary.repeats == 1


def test_it_resumes_from_the_last_offset_in_the_epoch_it_was_told():
    one = client()
    one._received(b'{"type":"resumed","topic":"notifications","recovered":true,"at":"e.a2:2"}')
    receive(one)
    assert one.at == "e.a3:3"
    assert not one.diary.reloads


def test_what_cannot_be_had_again_is_a_reload():
    one = client()
    one._received(b'{"type":"resumed","topic":"notifications","recovered":false,"at":"f:9"}')
    assert one.at == "f:9"
    assert len(one.diary.reloads) == 1
