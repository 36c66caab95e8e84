"""The database's URL: PostgreSQL or SQLite, and nothing in it that would fail later."""

import os
from pathlib import Path
from typing import Final

import dj_database_url
from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

from tidewire.addresses import server_url

POSTGRES: Final = ("postgres", "postgresql", "pgsql")
IN_MEMORY: Final = ":memory:"


def usable_url(text: str) -> str:
    """The URL, if Django can use all of it. Raises `ValueError` with what is wrong, and never with the URL."""
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
    try:
        make_conninfo(**dj_database_url.parse(text).get("OPTIONS", {}))
    except (ProgrammingError, TypeError):
        raise ValueError("it has an option that PostgreSQL's client library does not know") from None
    return text


def why_not_writable(url: str) -> str:
    """Why SQLite cannot write to the file of this URL, or nothing."""
    found = dj_database_url.parse(url)
    if "sqlite3" not in found["ENGINE"] or found["NAME"] == IN_MEMORY:
        return ""
    path = Path(found["NAME"])
    if path.is_dir():
        return "its path is a directory"
    if not path.parent.is_dir():
        return "the directory of its file does not exist"
    # SQLite makes files of its own beside the database.
    if not os.access(path.parent, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        return "this process may not write to its file and its directory"
    return ""
