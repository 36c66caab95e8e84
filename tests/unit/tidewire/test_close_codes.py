"""Close codes: one table, that the browser has too."""

from pathlib import Path

import pytest

import tidewire
from tidewire.close_codes import CloseCode, as_javascript

JAVASCRIPT = Path(tidewire.__file__).parent / "static" / "tidewire" / "close-codes.js"


def test_the_client_has_the_same_table():
    """The file that browsers load is what the table says; `manage.py close_codes` writes it."""
    assert JAVASCRIPT.read_text() == as_javascript()


@pytest.mark.parametrize("code", CloseCode)
def test_a_code_lies_where_an_application_may_send_it(code):
    """Daphne sends 1000 and 3000-4999 only; ours are in the private part."""
    assert 4000 <= code < 5000


@pytest.mark.parametrize("code", CloseCode)
def test_a_code_says_what_the_client_does(code):
    """Codes that end with reconnecting say so, in their number and in their text."""
    assert code.final == (code >= 4500)
    assert code.final != ("reconnect" in code.meaning)


def test_final_codes_are_two_ranges():
    """Below 500 of a thousand a client comes back, from there it does not."""
    final = CloseCode.final.fget
    assert [final(code) for code in (1000, 3000, 3499, 4000, 4499)] == [False] * 5
    assert [final(code) for code in (3500, 3999, 4500, 4999)] == [True] * 4


def test_no_code_is_given_twice():
    """A number has one meaning: an enum would fold a second one into the first, in silence."""
    assert len(CloseCode) == len(CloseCode.__members__)
