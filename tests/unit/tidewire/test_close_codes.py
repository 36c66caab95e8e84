"""Close codes: one table for the server and the browser."""

from pathlib import Path

import pytest

import tidewire
from tidewire.close_codes import CloseCode, as_javascript, is_final

JAVASCRIPT = Path(tidewire.__file__).parent / "static" / "tidewire" / "close-codes.js"


def test_the_client_has_the_same_table():
    """`manage.py close_codes` writes the file that browsers load."""
    assert JAVASCRIPT.read_text() == as_javascript()


@pytest.mark.parametrize("code", CloseCode)
def test_a_code_lies_where_an_application_may_send_it(code):
    """Daphne can send only 1000 and 3000-4999, of which 4000 and above are for private use."""
    assert 4000 <= code < 5000


@pytest.mark.parametrize("code", CloseCode)
def test_a_code_says_what_the_client_does(code):
    """A code that lets the client reconnect shows this in its number and in its text."""
    assert code.final == (code >= 4500)
    assert code.final != ("reconnect" in code.meaning)


def test_final_codes_are_two_ranges():
    """In each thousand, a client reconnects after codes below 500, and must stop after the others."""
    assert [is_final(code) for code in (1000, 1006, 3000, 3499, 4000, 4499, 5000)] == [False] * 7
    assert [is_final(code) for code in (3500, 3999, 4500, 4999)] == [True] * 4


def test_no_code_is_given_twice():
    """An enum would silently turn a second name for a number into an alias."""
    assert len(CloseCode) == len(CloseCode.__members__)
