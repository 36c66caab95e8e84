"""The settings of a production that starts, and a password with each character that has a meaning in a URL."""

import urllib.parse

from dashboard.env import Env, read_env

PRODUCTION = {
    "TIDEWIRE_SECRET_KEY": "k" * 25 + "e" * 25,
    "TIDEWIRE_ALLOWED_HOSTS": "docs.example.com",
    "TIDEWIRE_REDIS_URL": "redis://redis:6379/0",
    "TIDEWIRE_DATABASE_URL": "postgres://tidewire@db/tidewire",
}
# Characters that a password can contain and that have a meaning in a URL.
ODD = "p@:/#%?[]&=+ ü%41"
ENCODED = urllib.parse.quote(ODD, safe="")


def read(**changed: str) -> Env:
    return read_env(PRODUCTION | {f"TIDEWIRE_{name}": value for name, value in changed.items()})
