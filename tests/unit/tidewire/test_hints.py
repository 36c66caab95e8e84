"""Hints: one codec for publishers and hubs, which names the field that it cannot read."""

import pytest

from tidewire.exceptions import MalformedHint
from tidewire.hints import Hint, HintedEvents
from tidewire.topics import Position

EVENTS = HintedEvents(epoch="5f", offset=3, after="aa", marks=["bb", "cc"], bodies=["{}", '{"a":1}'], published=1.5)
MESSAGE = Hint("talk", EVENTS).encode()


def test_a_hint_of_a_stream_topic_has_its_events():
    assert Hint.decode(MESSAGE) == Hint("talk", EVENTS)
    assert [tuple(event) for event in EVENTS.each()] == [
        (Position("5f", 3, "bb"), "aa", "{}"),
        (Position("5f", 4, "cc"), "bb", '{"a":1}'),
    ]


def test_the_names_in_a_message_are_those_of_every_release():
    """Nodes and publishers of two releases exchange hints during a roll-out, so a field must not get another name."""
    assert MESSAGE == {
        "type": "tidewire.hint",
        "topic": "talk",
        "epoch": "5f",
        "offset": 3,
        "after": "aa",
        "marks": ["bb", "cc"],
        "bodies": ["{}", '{"a":1}'],
        "published": 1.5,
    }


def test_a_hint_of_a_state_topic_has_only_its_name():
    message = Hint("hall").encode()
    assert message == {"type": "tidewire.hint", "topic": "hall"}
    assert Hint.decode(message) == Hint("hall")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"type": "chat.message"}, "type 'chat.message'"),
        ({"topic": None}, "topic None"),
        ({"topic": ["talk"]}, "topic \\['talk'\\]"),
        ({"epoch": 5}, "'talk': epoch"),
        ({"offset": "3"}, "'talk': offset"),
        ({"offset": 0}, "'talk': offset"),
        ({"marks": "bb"}, "'talk': marks"),
        ({"marks": []}, "'talk': marks"),
        ({"marks": ["bb"]}, "marks: 1 for 2 bodies"),
        ({"bodies": ["{}", None]}, r"'talk': bodies\.1"),
        ({"published": "now"}, "'talk': published"),
        ({"published": float("nan")}, "'talk': published"),
    ],
)
def test_a_malformed_hint_is_refused_by_name(change, named):
    with pytest.raises(MalformedHint, match=named):
        Hint.decode(MESSAGE | change)


@pytest.mark.parametrize("hint", [Hint("talk", EVENTS), Hint("hall")])
def test_a_field_of_the_next_release_is_ignored(hint):
    """During an upgrade its hints must not wait for the check."""
    assert Hint.decode(hint.encode() | {"shard": 3}) == hint


@pytest.mark.parametrize("missing", ["epoch", "offset", "after", "marks", "bodies", "published"])
def test_a_hint_without_a_field_is_refused_by_name(missing):
    with pytest.raises(MalformedHint, match=f"'talk': {missing}: Field required"):
        Hint.decode({name: value for name, value in MESSAGE.items() if name != missing})
