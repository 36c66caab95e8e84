"""Close codes: number, meaning, and whether the client should reconnect.

Ranges follow Centrifugo's ("Client protocol codes" in its documentation): 3000-3499 and 4000-4499 reconnect, 3500-3999
and 4500-4999 are final. RFC 6455, section 7.4.2, leaves 4000-4999 to applications. A final code stands for a state that
the user cannot leave without a new login or another page. All other states are temporary or can be checked again.
`static/tidewire/close-codes.js` is generated from this table, and a test compares the two.
"""

from enum import IntEnum
from typing import Self

# The first and the last code of each final range.
FINAL_RANGES = ((3500, 3999), (4500, 4999))


def is_final(code: int) -> bool:
    """Return whether a close code asks the client to stop.

    Args:
        code: Any close code, of the library or of another server.

    Returns:
        True if the client must not reconnect.

    Example:
        >>> is_final(4500), is_final(4000), is_final(1006)
        (True, False, False)

    """
    return any(first <= code <= last for first, last in FINAL_RANGES)


class CloseCode(IntEnum):
    """A code that tidewire sends. The number is the value, so a member may be passed for an integer.

    Attributes:
        meaning: The meaning as a text for people.

    Example:
        >>> CloseCode.DRAINING == 4000, CloseCode.DRAINING.final
        (True, False)
        >>> CloseCode(4500).meaning
        'log in first'

    """

    meaning: str

    def __new__(cls, value: int, meaning: str = "") -> Self:
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    DRAINING = 4000, "this node is being drained; reconnect to another"
    SLOW = 4001, "the client read too slowly; reconnect and resume"
    FLOODING = 4002, "too many messages a second; reconnect later"
    FAILED = 4003, "the server failed; reconnect"
    BUSY = 4004, "this node has as many connections as it may have; reconnect to another"
    EXPIRED = 4005, "the session must be checked again; reconnect"
    TOO_MANY = 4006, "this user has too many connections; reconnect later, or close some"

    UNAUTHENTICATED = 4500, "log in first"
    REVOKED = 4501, "the session has ended"
    FORBIDDEN = 4503, "this user may not subscribe to this topic"
    UNKNOWN = 4504, "there is no such topic"
    MALFORMED = 4506, "the client sent messages that could not be read"
    TOO_LARGE = 4507, "the client sent a message that is larger than it may be"

    @property
    def final(self) -> bool:
        """True if the client must not reconnect."""
        return is_final(self)


def as_javascript() -> str:
    """Return the table as the ES module that the client imports.

    Example:
        >>> print(as_javascript().splitlines()[3])
          4000: "this node is being drained; reconnect to another",

    """
    rows = "".join(f'  {code.value}: "{code.meaning}",\n' for code in CloseCode)
    head = "// Written by `manage.py close_codes` from tidewire/close_codes.py."
    ranges = ", ".join(f"[{first}, {last}]" for first, last in FINAL_RANGES)
    return f"{head}\nexport const FINAL_RANGES = [{ranges}];\nexport const CLOSE_CODES = {{\n{rows}}};\n"
