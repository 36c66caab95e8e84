"""The cause of a failure in a few words that are the same each time, so that failures can be counted by kind."""

from __future__ import annotations

import os
import re
import socket
import ssl
import traceback
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

# The kind of an answer that begins with 5, which has an objective of its own.
SERVER_ERROR = "server error"
MOST_CHARACTERS = 120
# Numbers that differ each time, such as addresses of objects, are no part of a kind.
VARYING = re.compile(r"0x[0-9a-f]+|\d{5,}")


def status_cause(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"{SERVER_ERROR if status >= 500 else 'answer'} {status} {phrase}".rstrip()


def cause(error: BaseException) -> str:
    """Return the innermost cause of a failed request or socket that is known, or the exception itself."""
    known = next(filter(None, map(_known_cause, _chain(error))), "")
    if not known and isinstance(error, OSError) and error.errno:
        known = os.strerror(error.errno).lower()
    return known or VARYING.sub("...", str(error) or type(error).__name__)[:MOST_CHARACTERS]


def _known_cause(error: BaseException) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"certificate refused: {error.verify_message}"
        case ConnectionRefusedError():
            return "connection refused"
        case socket.gaierror():
            return f"host name not found: {error.strerror}"
        case ConnectionError() if type(error).__module__ in ("builtins", "http.client"):
            return "connection closed by the server"
    if isinstance(status := getattr(error, "status_code", None), int):
        return status_cause(status)
    is_timeout = isinstance(error, TimeoutError) or type(error).__name__.endswith(("Timeout", "TimeoutException"))
    return "no answer in time" if is_timeout else ""


def own_fault(error: BaseException) -> str:
    """Return an exception of the load test's own code with its place."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    place = f" in {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    return f"{type(error).__name__}: {VARYING.sub('...', str(error))[:MOST_CHARACTERS]}{place}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield all exceptions that this one was raised from or wraps, the innermost first."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if any(each is known for known in seen):
            continue
        seen.append(each)
        wrapped = (*each.args, getattr(each, "reason", None), each.__cause__, each.__context__)
        waiting += [inner for inner in wrapped if isinstance(inner, BaseException)]
    return reversed(seen)
