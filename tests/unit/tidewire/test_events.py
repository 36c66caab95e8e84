"""Events: their form on the wire, and the refusal of everything else."""

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dashboard.events import DocumentPeople, DocumentsStatus, DocumentStatus, NotificationCreated, UsersCount
from tidewire.auth.revoked import Revoked
from tidewire.contrib.edit_lease.topic import LeaseAsk, LeaseHandOver, LeaseKeep, LeaseStatus
from tidewire.contrib.operations.reports import NodeReport
from tidewire.contrib.operations.topic import OperationsStatus
from tidewire.contrib.presence import RoomMembers
from tidewire.events import Drain, Error, Event, Ping, Pong, Resumed, Stale, StateEvent, StreamEvent, decode_any
from tidewire.exceptions import MalformedEvent

GOLDEN = Path(__file__).parents[2] / "golden"
ID = UUID("0c6f1a52-6f43-4f0e-9a5e-3f1f3a3b2c1d")

EXAMPLES: list[Event] = [
    Resumed(topic="notifications", recovered=True, at="3f1f3a3b2c1d.9f31c0aa12de:12"),
    Ping(),
    Pong(),
    Error(code="malformed", detail="type: Field required"),
    Drain(reconnect_in_seconds=3.2),
    Stale(stale=True),
    Revoked(id=ID, offset=3, mark="9f31c0aa12de", user="7", session="9a5e3f1f3a3b2c1d", final=True),
    RoomMembers(topic="presence.lobby", version=7, count=2, names=("ada", "visitor-5f0c1f9e0c")),
    LeaseStatus(topic="lease.plan", version=5, holder="ada", asker="bob", lease_seconds=20.0, answer_seconds=30.0),
    LeaseAsk(),
    LeaseHandOver(asker="bob"),
    LeaseKeep(asker="bob"),
    OperationsStatus(
        topic="operations",
        version=812,
        nodes=(
            NodeReport(
                node="ws-0",
                run="9a5e3f1f",
                state="draining",
                up_seconds=3600,
                connections=120,
                users=48,
                drain_from=500,
                drain_seconds=30.0,
                stale=False,
                backlog_bytes=0,
                connects_per_second=0.0,
                closes_per_second=21.5,
                deliveries_per_second=812.4,
                delivery_p99_ms=8.1,
                lag_p99_ms=1.0,
                connections_trail=(500, 500),
                deliveries_trail=(2400.0, 2512.2),
                latency_trail=(7.5, 8.1),
            ),
        ),
    ),
    UsersCount(topic="users", version=7, count=3, names=("ada", "bob", "eve")),
    DocumentStatus(
        topic="document.plan",
        version=4,
        slug="plan",
        phase="update",
        readers=("ada",),
        editors=("bob",),
        reader_count=1,
        editor_count=1,
    ),
    DocumentsStatus(
        topic="documents",
        version=9,
        complete=True,
        documents={
            "plan": DocumentPeople(phase="update", readers=("ada",), editors=("bob",), reader_count=1, editor_count=1)
        },
    ),
    NotificationCreated(
        id=ID,
        offset=12,
        mark="9f31c0aa12de",
        request_id="5f2d8c1e",
        notification_id=57,
        actor="ada",
        verb="updated",
        slug="plan",
        title="Plan",
        at=datetime(2026, 11, 23, 8, tzinfo=UTC),
    ),
]
OURS = {
    name: known for name, known in Event.known.items() if known.__module__.split(".")[0] in {"tidewire", "dashboard"}
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)
def test_an_event_looks_like_its_golden_file(event):
    """A change of the wire format changes a golden file, which the authors of clients read."""
    pretty = json.dumps(json.loads(event.encode()), indent=2) + "\n"
    assert (GOLDEN / f"{event.type}.json").read_text() == pretty


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)
def test_a_golden_file_is_read_as_its_event(event):
    """Decoding returns the same event."""
    assert decode_any((GOLDEN / f"{event.type}.json").read_text()) == event


def test_every_event_has_a_golden_file_and_every_golden_file_an_event():
    """Every event that is sent has a golden file."""
    assert {event.type for event in EXAMPLES} == set(OURS) == {path.stem for path in GOLDEN.glob("*.json")}


@pytest.mark.parametrize("known", OURS.values(), ids=lambda known: known.__name__)
def test_an_event_says_to_which_kind_of_topic_it_belongs(known):
    """Each event with a topic is either a state or a stream event; the library's own replies are neither."""
    if known.__module__ == "dashboard.events":
        assert issubclass(known, StateEvent) != issubclass(known, StreamEvent)


@pytest.mark.parametrize("known", OURS.values(), ids=lambda known: known.__name__)
def test_an_event_refuses_what_it_does_not_know(known):
    """An unknown field raises an error instead of being ignored."""
    text = (GOLDEN / f"{known.model_fields['type'].default}.json").read_text()
    with pytest.raises(MalformedEvent, match="surprise: Extra inputs are not permitted"):
        known.decode(json.dumps(json.loads(text) | {"surprise": 1}))


def test_an_event_cannot_be_changed():
    """Sockets share events."""
    with pytest.raises(ValidationError, match="frozen"):
        Stale(stale=True).stale = False


def test_an_event_takes_no_value_of_another_type():
    """Validation is strict: a number in quotes is refused."""
    with pytest.raises(MalformedEvent, match="reconnect_in_seconds: Input should be a valid number"):
        decode_any('{"type":"drain","reconnect_in_seconds":"3"}')


def test_what_is_not_set_is_not_sent():
    """A stream event has no offset before Redis assigns one, and may have no request."""
    text = Revoked(id=ID, user="7").encode()
    assert json.loads(text) == {"type": "revoked", "topic": "revocations", "id": str(ID), "user": "7", "final": False}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "message: Invalid JSON"),
        ("hello", "message: Invalid JSON"),
        ("[]", "message: Input should be an object"),
        ("{}", "type: Field required"),
        ('{"type":7}', "type: Input should be a valid string"),
        ('{"type":"hello"}', "type: 'hello' is unknown"),
        ('{"type":"ping","now":1}', "now: Extra inputs are not permitted"),
        ('{"type":"error","code":"odd","detail":""}', "code: Input should be 'malformed', 'too_large', 'flooding' or"),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason(text, message):
    """The message names the field, so that a client's author can fix it."""
    with pytest.raises(MalformedEvent) as caught:
        decode_any(text)
    assert str(caught.value).startswith(message)


def test_a_refusal_is_short_whatever_was_sent():
    """The message quotes the client's text, but never at length."""
    for text in (json.dumps({"type": "x" * 4000}), json.dumps({"type": "ping", "y" * 4000: 1})):
        with pytest.raises(MalformedEvent) as caught:
            decode_any(text)
        assert len(str(caught.value)) < 200


def decodes_or_refuses(text: str | bytes) -> None:
    for decode in (decode_any, Ping.decode, NotificationCreated.decode):
        with contextlib.suppress(MalformedEvent):
            assert isinstance(decode(text), Event)


@given(st.text() | st.text(st.characters(categories=["Cs", "L", "P"])))
def test_any_text_is_decoded_or_refused(text):
    """A client's text raises nothing but MalformedEvent."""
    decodes_or_refuses(text)


@given(st.binary())
def test_any_bytes_are_decoded_or_refused(data):
    """A client's bytes raise nothing but MalformedEvent."""
    decodes_or_refuses(data)


@given(json_values)
def test_any_json_is_decoded_or_refused(value):
    """A client's JSON raises nothing but MalformedEvent."""
    decodes_or_refuses(json.dumps(value))


@given(st.sampled_from(sorted(OURS)), st.dictionaries(st.text(max_size=10), json_values, max_size=4))
def test_any_fields_of_a_known_event_are_decoded_or_refused(name, fields):
    """Fields of an event with any values raise nothing but MalformedEvent."""
    decodes_or_refuses(json.dumps(fields | {"type": name}))


@given(st.sampled_from(EXAMPLES), st.data())
def test_a_damaged_event_is_decoded_or_refused(event, data):
    """An event with one replaced field raises nothing but MalformedEvent."""
    fields = json.loads(event.encode())
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(json_values)
    decodes_or_refuses(json.dumps(fields))


def test_deep_nesting_is_refused():
    """Deeply nested brackets cannot exhaust the stack."""
    decodes_or_refuses("[" * 100_000)
    decodes_or_refuses('{"type":' * 100_000)
