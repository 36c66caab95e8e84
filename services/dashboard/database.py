"""Validation of the database's URL: PostgreSQL or SQLite, without options that would fail later."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import dj_database_url
from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn

from tidewire.addresses import server_url

POSTGRES: Final = ("postgres", "postgresql", "pgsql")
IN_MEMORY: Final = ":memory:"
# The client library reads these options only when it connects.
NUMBERS: Final = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
# A directory in which no socket can exist.
NO_DIRECTORY: Final = "/dev/null"


def usable_url(text: str) -> str:
    """Return the URL if Django can use all of it. Raises `ValueError`, which describes the error without the URL."""
    if text.startswith("sqlite:"):
        if not text.removeprefix("sqlite://").lstrip("/") or "?" in text or "#" in text:
            raise ValueError("it must name a file and nothing else: sqlite:////absolute/path")
        if not text.startswith("sqlite:///") and text != f"sqlite://{IN_MEMORY}":
            raise ValueError("a path follows three slashes, an absolute path four: sqlite:////absolute/path")
        return text
    parts = server_url(text, (*POSTGRES, "sqlite"))
    name = parts.path.removeprefix("/")
    if not name or "/" in name:
        raise ValueError("it must name one database: postgres://user:password@host:5432/name")
    if parts.password is not None and not parts.username:
        raise ValueError("it has a password without a user")
    options = dj_database_url.parse(text).get("OPTIONS", {})
    named = {"host": parts.hostname, "port": parts.port, "user": parts.username, "password": parts.password}
    for option, value in {**named, "dbname": name}.items():
        if value and option in options:
            raise ValueError(f"it has the {option} twice, before and behind its `?`")
    _check_options(options)
    return text


def _check_options(options: Mapping[str, Any]) -> None:
    try:
        tried = make_conninfo(**{**options, "host": NO_DIRECTORY, "hostaddr": None})
    except (ProgrammingError, TypeError):
        raise ValueError("it has an option that PostgreSQL's client library does not know") from None
    for option in NUMBERS:
        if not str(options.get(option, 0)).isdecimal():
            raise ValueError(f"its option {option} must be a number")
    connection = PGconn.connect_start(tried.encode())
    # The library reports an invalid value before opening the socket; otherwise the error contains the socket's path.
    refused = NO_DIRECTORY.encode() not in connection.error_message
    connection.finish()
    if refused:
        raise ValueError("it has an option with a value that PostgreSQL's client library does not take")


def why_not_writable(url: str) -> str:
    """Return the reason that SQLite cannot write to the file of this URL, or an empty text."""
    config = dj_database_url.parse(url)
    if "sqlite3" not in config["ENGINE"] or config["NAME"] == IN_MEMORY:
        return ""
    path = Path(config["NAME"])
    if path.is_dir():
        return "its path is a directory"
    if not path.parent.is_dir():
        return "the directory of its file does not exist"
    # SQLite creates further files beside the database.
    if not os.access(path.parent, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        return "this process may not write to its file and its directory"
    return ""
