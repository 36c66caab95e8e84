"""Lines about frames: one for each, whatever wrote it, and no secret in any of them."""

import json

import pytest
from daphne.ws_protocol import WebSocketFactory

from tests.unit.tidewire.fakes import NO_LIMITS
from tests.unit.tidewire.server.test_protocol import Transport
from tidewire.fanout.frames import frame
from tidewire.server.frame_log import TEXT_CHARACTERS, LoggedProtocol, masked, topic_of
from tidewire.server.protocol import OPEN, create_protocol_class

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
SIGNED = "eyJwayI6MX0:1uQhXk:5nN3O0zVb2f6Q9x1aJYw8k3b7cD2eF4g"


@pytest.mark.parametrize(
    "text",
    [
        '{"token": "hunter2"}',
        '{"user": {"new_password": "hunter2"}}',
        '{"list": [{"ticket": ["hunter2"]}]}',
        '{"Set-Cookie": "sessionid=hunter2"}',
        '{"nested": "{\\"access_token\\": \\"hunter2\\"}"}',
        '{"url": "/page/?token=hunter2&x=1"}',
        '{"pin_token": 2, "text": "Bearer hunter2"}',
        "token=hunter2",
        "Authorization: Basic hunter2",
        "authorization: bearer hunter2",
        "Cookie: sessionid=hunter2; csrftoken=hunter2",
        "password: 'hunter2'",
        '{"token": "hunter2", not json',
    ],
)
def test_no_secret_is_shown(text):
    assert "hunter2" not in masked(text)
    assert "***" in masked(text)


@pytest.mark.parametrize("value", [JWT, SIGNED])
def test_a_signed_value_is_masked_under_any_name(value):
    assert masked(json.dumps({"data": value})) == '{"data": "***"}'
    assert masked(f"hello {value} there") == "hello *** there"


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "notification.created", "id": "5f0c1f9e-0c7d-4ab6-9d33-3b9f6a6a3f51", "title": "A basic idea"}',
        "at 12:03:04.123 in tidewire.server.foreign_sockets",
        '{"count": 3, "none": null, "password": null}',
        "[1, 2]",
        "hi",
    ],
)
def test_other_texts_are_shown_as_they_are(text):
    assert masked(text) == text


def test_a_client_cannot_write_to_the_terminal():
    assert masked("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\nc"
    assert masked(json.dumps({"a": "\x1b[2J\u202e"})) == '{"a": "\\u001b[2J\\u202e"}'


def test_a_long_text_is_cut():
    assert len(masked("x " * 1_000_000)) == TEXT_CHARACTERS + 3
    assert len(masked("[" * 90_000)) == TEXT_CHARACTERS + 3, "nested too deeply to be parsed"


@pytest.mark.parametrize(
    ("text", "topic"),
    [('{"topic": "news"}', "news"), ('{"topic": 3}', None), ('["topic"]', None), ('{"topic"', None), ("hi", None)],
)
def test_the_topic_of_an_event_is_found(text, topic):
    assert topic_of(text) == topic


@pytest.fixture
def protocol():
    factory = WebSocketFactory(object(), server="daphne")
    made = create_protocol_class(factory, NO_LIMITS, LoggedProtocol)()
    made.factory = factory
    made.client_addr = ["127.0.0.1", 5005]
    made.path = b"/ws/chat/"
    made.transport = Transport()
    made.state = OPEN
    made._direct = made._plain = True
    return made


def lines(capsys):
    """Return the printed lines without their time."""
    return [line.partition(" ")[2] for line in capsys.readouterr().err.splitlines()]


def test_each_way_to_send_prints_one_line(protocol, capsys):
    event = frame('{"topic":"news"}')
    protocol.write([event], event.wire)
    assert protocol.try_write([event], event.wire, 1000)
    protocol.handle_reply({"type": "websocket.send", "text": "hi"})
    protocol.handle_reply({"type": "websocket.send", "bytes": b"\x00"})
    protocol._sendAutoPing()
    protocol.close_by_server(1012)
    assert lines(capsys) == [
        '-> news 16 B :5005 {"topic": "news"}',
        '-> news 16 B :5005 {"topic": "news"}',
        "-> /ws/chat/ 2 B :5005 hi",
        "-> /ws/chat/ 1 B :5005 (binary)",
        "-> /ws/chat/ control :5005 ping",
        "-> /ws/chat/ control :5005 close 1012",
    ]
    assert protocol.transport.socket.wire.startswith(event.wire * 2 + frame("hi").wire)


def test_a_frame_that_is_not_written_has_no_line(protocol, capsys):
    """A full socket gets the event later, and a closed one never."""
    protocol.transport.socket.takes.extend([0] * 10)
    event = frame("x" * 100)
    assert protocol.try_write([event], event.wire, 150)
    assert not protocol.try_write([event], event.wire, 150)
    protocol.close_by_server(1012)
    protocol.write([event], event.wire)
    assert [line.split()[2] for line in lines(capsys)] == ["100", "control"]
