"""Normalisation and validation of text that users write.

A title or a name is shown in other users' pages. There it must be visible, must fit on its line, and must not change
the direction of the text around it. The pages isolate it as well (`<bdi>`, `dir="auto"`).
"""

import unicodedata

from django.core.exceptions import ValidationError

# Characters that count as letters or symbols but are invisible: fillers of Hangul and Khmer, the Braille blank.
_BLANKS = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Format characters with a visible effect: joiners of Persian, Hindi and emoji, and the tags in flags of regions.
_JOINERS = frozenset("\u200c\u200d")
_TAGS = range(0xE0020, 0xE0080)
# More marks than any script puts on one letter. Unlimited marks would overlap the lines above and below.
MARKS_PER_LETTER = 6
# Unicode's white space, and the control characters that end a line.
_SPACES = ("Zs", "Zl", "Zp")
_BREAKS = frozenset("\t\n\v\f\r\x85")


def one_line(text: str) -> str:
    """Return the text in Unicode's composed form, on one line, without invisible characters.

    White space of any kind becomes single spaces. Control, direction and zero-width characters are dropped, and so is
    a combining mark past `MARKS_PER_LETTER`.

    Example::

        >>> one_line("  Quarterly report,   2026 ")
        'Quarterly report, 2026'
    """
    kept: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFC", text):
        category = unicodedata.category(char)
        if char in _BREAKS or category in _SPACES:
            kept.append(" ")
        elif category in ("Cc", "Cs") or (category == "Cf" and not _is_joiner(char)):
            continue
        elif category in ("Mn", "Me"):
            marks += 1
            if marks <= MARKS_PER_LETTER:
                kept.append(char)
            continue
        else:
            kept.append(char)
        marks = 0
    return " ".join("".join(kept).split())


def is_visible(text: str) -> bool:
    """Return whether any character of the text can be seen."""
    return any(unicodedata.category(char)[0] in "LNPS" and char not in _BLANKS for char in text)


def clean_title(text: str) -> str:
    """Return a normalised title. Raises `ValidationError` if it has no visible character."""
    title = one_line(text)
    if not is_visible(title):
        raise ValidationError("Write a title that can be seen: this one has invisible characters only.", code="blank")
    return title


def clean_name(name: str) -> str:
    """Return a user name that Django's own rules allow. Raises `ValidationError` if a part of it is invisible."""
    if any(char in _BLANKS for char in name) or not is_visible(name):
        raise ValidationError("Choose a name without invisible characters.", code="blank")
    return name


def _is_joiner(char: str) -> bool:
    return char in _JOINERS or ord(char) in _TAGS
