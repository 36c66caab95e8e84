"""Wires: the meaning of a product's texts for the accounts."""

import json

import pytest

from loadtest.clients.wires import JsonNumber, Wire
from loadtest.run.rooms import Numbered


def test_json_with_a_number_is_a_message():
    wire = JsonNumber("hall")
    text = wire.write("ada#1", 3, 12.5, text="Hello")
    assert json.loads(text) == {"text": "Hello", "sender": "ada#1", "number": 3, "sent": 12.5}
    assert wire.read(text.encode()) == Numbered("ada#1", 3, 12.5)


def test_names_of_fields_are_the_products_own():
    wire = JsonNumber("hall", sender="from", number="seq", sent="at")
    assert wire.read(b'{"from": "ada", "seq": 7, "at": 1.5}') == Numbered("ada", 7, 1.5)


@pytest.mark.parametrize("text", [b'{"type": "welcome"}', b"[1]", b'"hello"', b"3"])
def test_other_texts_are_no_messages(text):
    assert JsonNumber("hall").read(text) is None


def test_numbers_of_the_server_are_of_no_sender():
    wire = JsonNumber("hall", sender="")
    assert wire.is_numbered_by_server
    assert json.loads(wire.write("", 1, 12.5, text="Hello")) == {"text": "Hello", "sent": 12.5}
    assert wire.read(b'{"number": 4, "text": "Hello", "sent": 12.5}') == Numbered("", 4, 12.5)


def test_wire_without_write_is_named_when_it_publishes():
    class Own(Wire):
        def read(self, text):
            return None

    with pytest.raises(NotImplementedError, match=r"Own has no write\(\), which publish\(\) needs"):
        Own("hall").write("ada", 1, 0.0)
