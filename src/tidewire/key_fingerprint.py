"""The fingerprint of SECRET_KEY in the names of nodes in Redis, by which processes with another key are found.

A ticket or a session that one process signs is invalid in a process with another key.
"""

import hashlib
import hmac
import re
from typing import Final

from django.conf import settings as django_settings

# Enough to differ, and too little to be of use to a guess.
DIGITS: Final = 8
_IN_NAME: Final = re.compile(rf"\.key([0-9a-f]{{{DIGITS}}})-[0-9a-f]+$")


def fingerprint(key: str) -> str:
    """Return a short hash of a key, keyed by itself."""
    return hmac.new(key.encode(), b"tidewire.secret_key", hashlib.sha256).hexdigest()[:DIGITS]


def named(node: str) -> str:
    """Return the name under which a node of this process is in Redis, without the part that each start changes."""
    return f"{node}.key{fingerprint(django_settings.SECRET_KEY)}"


def others(names: list[str]) -> tuple[int, int]:
    """Return how many of these nodes have another key, and how many have a known one.

    A node with one of SECRET_KEY_FALLBACKS is one that a rotation has not restarted yet.
    """
    keys = (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)
    valid = {fingerprint(key) for key in keys}
    found = [match[1] for match in map(_IN_NAME.search, names) if match]
    return sum(each not in valid for each in found), len(found)
