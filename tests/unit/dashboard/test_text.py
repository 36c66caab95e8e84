"""Stored titles and names are visible, on one line, and have no effect on the text around them."""

import unicodedata

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from dashboard.text import MARKS_PER_LETTER, clean_name, clean_title, is_visible, one_line

INVISIBLE = {
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "Hangul filler": "\u3164",
    "halfwidth Hangul filler": "\uffa0",
    "Braille blank": "\u2800",
    "no-break space": "\u00a0",
    "ideographic space": "\u3000",
    "right-to-left override": "\u202e",
    "invisible times": "\u2062",
    "variation selector": "\ufe0f",
    "tags": "\U000e0041\U000e0042",
    "line separator": "\u2028",
}


@pytest.mark.parametrize("text", INVISIBLE.values(), ids=INVISIBLE)
def test_a_title_that_cannot_be_seen_is_refused(text):
    with pytest.raises(ValidationError, match="can be seen"):
        clean_title(text * 3)


@pytest.mark.parametrize("text", ["plan", "план", "計画", "خطة", "🙂", "1", "?", "๑", "👩‍💻", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"])
def test_a_title_in_any_script_is_kept_as_it_is(text):
    assert clean_title(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("  a\u00a0\u2003b\u3000", "a b"),
        ("a\nb\r\nc\u2028d\u2029e\tf", "a b c d e f"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("\u2066a\u2069", "a"),
        ("a\u200bb\ufeffc\u00add", "abcd"),
        ("e\u0301", "é"),
        ("a\x00b\x1bc\x7f", "abc"),
        ("نامه\u200cها", "نامه\u200cها"),  # Persian needs this joiner
    ],
)
def test_a_title_stays_on_its_line(text, kept):
    assert one_line(text) == kept


def test_a_stack_of_marks_is_cut():
    assert one_line("a" + "\u0308\u0301" * 50 + "b").count("\u0301") <= MARKS_PER_LETTER
    assert one_line("a" + "\u0301" * 50 + "b").endswith("b")


@given(st.text())
def test_cleaning_twice_changes_nothing(text):
    once = one_line(text)
    assert one_line(once) == once
    assert len(once.splitlines()) <= 1


@pytest.mark.parametrize("name", ["\u3164", "ada\u3164", "\u115f\u1160"])
def test_a_name_with_invisible_letters_is_refused(name):
    with pytest.raises(ValidationError, match="invisible"):
        clean_name(name)


def test_a_name_in_any_script_is_allowed():
    for name in ("ada", "Ада", "阿达", "أدا"):
        assert clean_name(name) == name
        assert is_visible(name)
