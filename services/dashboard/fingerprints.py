"""Fingerprints of the secrets that this process has read, by which a rotation can be proven.

A process reads its secrets once, at its start. One that was not restarted since a rotation has another fingerprint than
the others, although it may work for a while with what it has.
"""

import hashlib
import hmac
from typing import Final

from dashboard.env import Env
from tidewire import metrics

SECRETS: Final = ("secret_key", "secret_key_fallbacks", "redis_url", "redis_sentinel_password", "database_url")
# Enough to differ, and too little to be of use to a guess, even with the key.
DIGITS: Final = 8


def fingerprints(env: Env) -> dict[str, str]:
    """Return a short hash of each secret that is set, keyed by SECRET_KEY: without that, no guess can be checked."""
    key = env.secret_key.get_secret_value().encode()
    found = {}
    for name in SECRETS:
        value = getattr(env, name)
        text = value if isinstance(value, str) else value.get_secret_value()
        if text:
            found[name] = hmac.new(key, f"{name}\0{text}".encode(), hashlib.sha256).hexdigest()[:DIGITS]
    return found


def publish(env: Env) -> None:
    """Set the metric of this process."""
    for name, fingerprint in fingerprints(env).items():
        metrics.SECRET_INFO.labels(name, fingerprint).set(1)
