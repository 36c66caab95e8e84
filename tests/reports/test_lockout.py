"""Lockouts of others: one attacker must not keep the owner of an account, or a whole office, from logging in."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connections
from django.http import HttpRequest

from dashboard.settings import SQLITE
from tests.integration.conftest import postgres
from web import logins
from web.logins import FOR_USER, FOR_USER_AT_ADDRESS, LoginLimits
from web.models import FailedLogins

__all__ = ["postgres"]

pytestmark = pytest.mark.integration

THREADS = 8


@pytest.fixture(params=["sqlite", "postgresql"])
def at_once(request, tmp_path, monkeypatch, django_db_blocker) -> Iterator[Callable[..., int]]:
    """`at_once(ask, times)` calls it concurrently in several threads and returns how often it was true."""
    if request.param == "sqlite":
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db.sqlite3"), "OPTIONS": SQLITE}
    else:
        database = request.getfixturevalue("postgres")
    monkeypatch.setitem(connections.databases, "default", connections.databases["default"] | database)

    def in_thread(work: Callable[[], object]) -> object:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool, django_db_blocker.unblock():
        pool.submit(in_thread, lambda: call_command("migrate", verbosity=0)).result()
        pool.submit(in_thread, FailedLogins.objects.all().delete).result()

        def ask(work: Callable[[int], bool], times: int) -> int:
            barrier = threading.Barrier(THREADS)

            def share(mine: int) -> int:
                barrier.wait(30)
                return sum(work(number) for number in range(mine, times, THREADS))

            return sum(int(each.result()) for each in [
                pool.submit(in_thread, lambda mine=mine: share(mine)) for mine in range(THREADS)
            ])  # fmt: skip

        yield ask


def tries(name: str, address: str) -> bool:
    """Return whether a password would be checked. The attempt then counts as failed."""
    request = HttpRequest()
    request.META["HTTP_X_REAL_IP"] = address
    limits = LoginLimits()
    allowed = limits.is_allowed(request, {"username": name})
    limits.user_login_failed(None, {}, request)
    return allowed


def test_tries_at_the_same_moment_do_not_pass_the_limit(at_once):
    """Concurrent guesses were all checked before the first of them was counted."""
    assert at_once(lambda _number: tries("ada", "10.0.0.1"), 64) == FOR_USER_AT_ADDRESS


def test_one_address_cannot_lock_a_user_out_elsewhere(at_once):
    """During its lockout, the failures of one address counted for the user everywhere, and prolonged it forever."""
    assert at_once(lambda _number: tries("ada", "10.0.0.1"), 160) == FOR_USER_AT_ADDRESS
    assert at_once(lambda _number: tries("ada", "10.0.0.2"), 8) == FOR_USER_AT_ADDRESS


def test_guesses_from_many_addresses_are_bounded(at_once):
    """A user's password can be guessed at most fifty times in a quarter of an hour, from any number of addresses."""
    assert at_once(lambda number: tries("ada", f"10.0.{number}.1"), 160) == FOR_USER


def test_tries_never_wait_for_each_other(at_once, monkeypatch):
    """The database aborted one of two attempts because of a deadlock, and its login was answered with 500."""
    monkeypatch.setattr(logins, "PERIOD", timedelta(milliseconds=5))
    assert at_once(lambda number: tries(f"user-{number % 7}", f"10.0.{number % 5}.1") in (True, False), 200) == 200
