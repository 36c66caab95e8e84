"""Sessions as a ws process reads them: read-only, and a failure to read is distinguished from an ended session.

Django's own stores return an empty session both for a session that has ended and for a failed cache, disk or key. Here
the latter raises `SessionUnknown`, for each of Django's engines.
"""

import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.base import SessionBase
from django.core import signing
from django.core.cache.backends.base import InvalidCacheKey
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from tidewire.exceptions import SessionUnknown, SessionUnreadable

# The key under which this process checks whether a cache stores values; each process has its own.
_PROBE = f"tidewire.probe.{secrets.token_hex(8)}"
_PROBE_SECONDS = 60
# The session's entry for the SECRET_KEY with which the hash of its password was made.
_KEY_HASH_ENTRY = "_tidewire_key"


class Session(NamedTuple):
    """`exists`: there is such a session, whether or not a user is logged in with it."""

    user: Any
    exists: bool


def read_session(key: str) -> Session:
    """Return the session's user, as a page would determine it.

    A session signed with one of SECRET_KEY_FALLBACKS is valid and is not changed. Raises `SessionUnknown` if the
    session cannot be read: the database, the cache or the disk is unavailable, or another key signed it.
    """
    request = HttpRequest()
    try:
        request.session = _reader(django_settings.SESSION_ENGINE)(key)
        user = get_user(request)
        if not user.is_authenticated and request.session.get(_KEY_HASH_ENTRY, "") not in ("", *_secret_key_hashes()):
            raise SessionUnreadable("another key made the session's hash")
    except SessionUnknown:
        raise
    except Exception as error:
        raise SessionUnknown(f"{type(error).__name__}: {error}") from error
    return Session(user, request.session.session_key is not None)


def session_hash(session_key: str) -> str:
    """Return a hash that identifies a session without its key, equal in every process, whatever its SECRET_KEY."""
    return hashlib.sha256(f"tidewire.session:{session_key}".encode()).hexdigest()[:32]


def record_secret_key(session: SessionBase) -> None:
    """Record in a logged-in session the key of its hash, if the store signs nothing (`cache`, `cached_db`).

    Without the record, a process without that key would conclude that the password had changed.
    """
    store = _store(django_settings.SESSION_ENGINE)
    signs = any(_is_a(store, backend) for backend in _SIGNING) and not _is_a(store, "cached_db")
    if not signs and session.get(_KEY_HASH_ENTRY) != (key_hash := _secret_key_hashes()[0]):
        session[_KEY_HASH_ENTRY] = key_hash


def key_is_data() -> bool:
    """Return whether the session's key is its data (signed cookies), so that it changes and identifies no session."""
    return _is_a(_store(django_settings.SESSION_ENGINE), "signed_cookies")


@contextlib.contextmanager
def keep_session_key(request: HttpRequest) -> Iterator[None]:
    """Let Django update the hash of a session signed by a fallback key, without assigning another session key.

    With another key, sockets and concurrent requests with the old cookie would be logged out.
    """
    session = request.session
    session.cycle_key = lambda: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        del session.cycle_key


def _secret_key_hashes() -> list[str]:
    """Return hashes of this process's keys, the current one first."""
    keys = (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)
    return [salted_hmac(_KEY_HASH_ENTRY, "", secret=key, algorithm="sha256").hexdigest()[:16] for key in keys]


@cache
def _store(engine: str) -> type[SessionBase]:
    store: type[SessionBase] = import_module(engine).SessionStore
    return store


def _is_a(store: type[SessionBase], backend: str) -> bool:
    """Return whether a store is one of Django's backends, without importing unused ones."""
    return any(base.__module__ == f"django.contrib.sessions.backends.{backend}" for base in store.__mro__)


@cache
def _reader(engine: str) -> type[SessionBase]:
    """Return a read-only variant of the engine's store."""
    store = _store(engine)
    members: dict[str, Any] = dict.fromkeys(("save", "create", "delete", "flush", "cycle_key"), _write_nothing)
    for backend, load in _LOADS.items():
        if _is_a(store, backend):
            members["load"] = load
            break
    if store.decode is SessionBase.decode:
        members["decode"] = _decode
    # Django salts signatures with the name of the class.
    members["__qualname__"] = store.__qualname__
    return type(store.__name__, (store,), members)


def _write_nothing(_self: SessionBase, *_arguments: object, **_options: object) -> None:
    """Do nothing, because only pages may write a session."""


def _decode(self: Any, session_data: str) -> Any:
    try:
        return signing.loads(session_data, salt=self.key_salt, serializer=self.serializer)
    except signing.BadSignature:
        raise SessionUnreadable("no key of this process signed the session") from None


def _load_cookie(self: Any) -> Any:
    try:
        return signing.loads(
            self.session_key,
            serializer=self.serializer,
            max_age=self.get_session_cookie_age(),
            salt="django.contrib.sessions.backends.signed_cookies",
        )
    except signing.SignatureExpired:
        return _no_session(self)
    except signing.BadSignature:
        raise SessionUnreadable("no key of this process signed the session") from None


def _load_cache(self: Any) -> Any:
    try:
        data = self._cache.get(self.cache_key)
    except InvalidCacheKey:
        return _no_session(self)
    if data is not None:
        return data
    # Some caches answer like this while their server is unavailable.
    value = secrets.token_hex(8)
    self._cache.set(_PROBE, value, _PROBE_SECONDS)
    if self._cache.get(_PROBE) != value:
        raise SessionUnknown("the cache keeps nothing")
    return _no_session(self)


def _load_cached_db(self: Any) -> Any:
    with contextlib.suppress(Exception):  # A cache may raise any exception, and the database has the session too.
        data = self._cache.get(self.cache_key)
        if data is not None:
            return data
    row = self._get_session_from_db()
    return self.decode(row.session_data) if row else {}


def _load_file(self: Any) -> Any:
    try:
        path = self._key_to_file()
        text = Path(path).read_text(encoding="ascii")
    except SuspiciousOperation:
        return _no_session(self)
    except FileNotFoundError:
        if not Path(self.storage_path).is_dir():
            raise
        return _no_session(self)
    if not text:
        raise SessionUnknown("the session is being written")
    data = self.decode(text)
    return data if self.get_expiry_age(expiry=self._expiry_date(data)) > 0 else _no_session(self)


def _no_session(self: Any) -> dict[str, Any]:
    self._session_key = None
    return {}


# Django's backends that sign sessions; the cache in front of `cached_db` does not.
_SIGNING = ("db", "file", "signed_cookies")
# Django's backends that hide a failure. `cached_db` must precede its base class `db`, which hides none.
_LOADS = {
    "signed_cookies": _load_cookie,
    "cache": _load_cache,
    "cached_db": _load_cached_db,
    "file": _load_file,
}
