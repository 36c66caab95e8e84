"""Django's session engines for tests, each with a way to make its store unavailable."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.cache import caches
from django.db import connection

BACKENDS = "django.contrib.sessions.backends"


@dataclass(frozen=True)
class Engine:
    """A session engine. `unavailable()` disables its store for a `with` block; None if the store is the cookie."""

    name: str
    settings: dict[str, Any]
    unavailable: Callable[[], contextlib.AbstractContextManager[None]] | None
    # If the session key contains the data, the server cannot end a session.
    in_cookie: bool = False

    def forget_cache(self) -> None:
        """Make the next read use the store."""
        if self.name == "cached_db":
            caches["default"].clear()


@contextlib.contextmanager
def without_table() -> Iterator[None]:
    """Make the database answer with an error."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_session RENAME TO elsewhere")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO django_session")


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Make the cache return None and store nothing, as memcached's clients do while their server is unavailable."""
    cache: Any = caches["default"]
    get_value = cache.get
    cache.get = lambda *_arguments, **_options: None
    try:
        yield
    finally:
        cache.get = get_value


def engines(directory: Path, redis: Any) -> dict[str, Engine]:
    """Return Django's engines by name. `redis` must be a server of tests/integration/tidewire that can be stopped."""
    files = directory / "sessions"
    files.mkdir(exist_ok=True)

    @contextlib.contextmanager
    def without_directory() -> Iterator[None]:
        shutil.move(files, directory / "elsewhere")
        try:
            yield
        finally:
            shutil.move(directory / "elsewhere", files)

    @contextlib.contextmanager
    def without_table_and_cache() -> Iterator[None]:
        caches["default"].clear()
        with without_table():
            yield

    @contextlib.contextmanager
    def without_redis() -> Iterator[None]:
        # The Redis process keeps running, so that the sessions still exist afterwards.
        with redis.paused():
            yield

    locmem = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "sessions"}
    remote = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": redis.url,
        "OPTIONS": {"socket_timeout": 0.2, "socket_connect_timeout": 0.2},
    }

    def of(name: str, backend: str, unavailable: Any, *, cache: dict[str, Any] = locmem, **options: Any) -> Engine:
        fields = {"SESSION_ENGINE": f"{BACKENDS}.{backend}", "SESSION_FILE_PATH": str(files)}
        return Engine(name, fields | {"CACHES": {"default": cache}}, unavailable, **options)

    all_engines = (
        of("db", "db", without_table),
        of("cached_db", "cached_db", without_table_and_cache),
        of("cache (locmem)", "cache", without_values),
        of("cache (Redis)", "cache", without_redis, cache=remote),
        of("file", "file", without_directory),
        of("signed_cookies", "signed_cookies", None, in_cookie=True),
    )
    return {engine.name: engine for engine in all_engines}


NAMES = ("db", "cached_db", "cache (locmem)", "cache (Redis)", "file", "signed_cookies")
