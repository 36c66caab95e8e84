"""Centrifugo under test: its program, its configuration as its documentation recommends, and its clients' token.

History and positioning are on, as for tidewire's topics: the same number of events, for the same time, in Redis.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from pathlib import Path

from bench.paths import VAR
from testkit.machine_facts import output

# The folder of the program, which is not part of this repository.
FOLDER = "BENCH_CENTRIFUGO"
MODULE = "github.com/centrifugal/centrifugo/v6"
INSTALL = f"GOBIN=DIRECTORY go install {MODULE}@v6.9"
CHANNEL = "bench"
HISTORY_SIZE, HISTORY_TTL = 1000, "24h"
# Secrets of a server that listens on loopback for seconds.
TOKEN_SECRET = "the bench signs its tokens with this"  # noqa: S105 - no secret: the server ends with the bench
API_KEY = "the bench publishes with this"
# Far beyond any run.
EXPIRES = 4_000_000_000


def program() -> Path | None:
    folder = os.environ.get(FOLDER, "")
    path = Path(folder).expanduser() / "centrifugo"
    return path if folder and path.is_file() else None


def missing() -> str | None:
    """Return the reason why it cannot be measured."""
    return None if program() else f"{FOLDER} names no folder with it ({INSTALL})"


def version() -> str:
    """Return the version of the program, or an empty text. `go install` leaves it in the build information alone."""
    if (path := program()) is None:
        return ""
    lines = (line.split() for line in output("go", "version", "-m", str(path)).splitlines())
    return next((words[2].removeprefix("v") for words in lines if words[:2] == ["mod", MODULE]), "unknown")


def command(port: int) -> list[str]:
    """Write the configuration for this port and return the command. Redis's address is in the environment."""
    directory = VAR / "centrifugo"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "config.json"
    path.write_text(json.dumps(configuration(port), indent=1) + "\n", encoding="utf-8")
    found = program()
    assert found is not None
    return [str(found), "--config", str(path)]


def configuration(port: int) -> dict[str, object]:
    return {
        "http_server": {"address": "127.0.0.1", "port": str(port)},
        "log": {"level": "error"},
        "http_api": {"key": API_KEY},
        "client": {
            "allowed_origins": ["*"],
            "token": {"hmac_secret_key": TOKEN_SECRET},
            # The connections that are measured as bare have no token.
            "allow_anonymous_connect_without_token": True,
        },
        "engine": {"type": "redis"},
        "channel": {
            "without_namespace": {
                "history_size": HISTORY_SIZE,
                "history_ttl": HISTORY_TTL,
                "force_positioning": True,
                "force_recovery": True,
                "allow_subscribe_for_client": True,
                "allow_subscribe_for_anonymous": True,
            }
        },
    }


def environment(redis_url: str) -> dict[str, str]:
    return {"CENTRIFUGO_ENGINE_REDIS_ADDRESS": redis_url}


def token() -> str:
    """Return a JSON web token of a user, signed with HS256 as Centrifugo's documentation shows."""
    head, claims = {"alg": "HS256", "typ": "JWT"}, {"sub": "load", "exp": EXPIRES}
    signed = ".".join(_base64(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
    return f"{signed}.{_base64(hmac.digest(TOKEN_SECRET.encode(), signed.encode(), hashlib.sha256))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
