"""Faults of the database under load: SQLite locked and then missing, PostgreSQL stopped. Sockets must continue."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.data import judge, last_for, page, start
from tests.faults.scene import people
from tests.postgres import Postgres, why_not
from tests.stack import PREPARE_SECONDS

FAULT_SECONDS = 5.0


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold a write transaction open in another connection."""
    connection = sqlite3.connect(database, isolation_level=None, timeout=30)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


@contextlib.contextmanager
def replaced_file(database: Path) -> Iterator[None]:
    """Replace the file by a directory, as if its volume were not mounted."""
    names = [database, *(database.with_name(database.name + suffix) for suffix in ("-wal", "-shm"))]
    moved = [name.with_name(f"away-{name.name}") for name in names]
    pairs = [(name, target) for name, target in zip(names, moved, strict=True) if name.exists()]
    for name, target in pairs:
        name.rename(target)
    # Otherwise SQLite would create an empty database there.
    database.mkdir()
    try:
        yield
    finally:
        database.rmdir()
        for name, target in pairs:
            target.rename(name)


def test_sqlite(start_stack, scene, size):
    """While the file is locked for 5 s, writes wait; while it is missing for 5 s, pages fail. Sockets continue."""
    stack = start_stack()
    count = size(100, 20)
    database = stack.layout.var / "tidewire.sqlite3"
    with scene(
        stack, "SQLite locked for 5 s, then gone for 5 s", pages=people(stack, count), per_second=10, order=60
    ) as run:
        start(run, "SQLite is locked")
        with locked(database):
            last_for(run, FAULT_SECONDS)
        run.calm()
        run.note("SQLite is gone")
        with replaced_file(database):
            time.sleep(FAULT_SECONDS)
            status = page(stack, run)
            run.target("pages answer with an error", status in (500, 503), f"status {status}")
        judge(run, people=count, ended=time.time())
        run.target("pages are back", (status := page(stack, run)) == 200, f"status {status}")
        run.verdict()


def test_postgresql(stack_factory, scene, size):
    """The database is stopped as by a power cut and restarted: saves fail meanwhile, all committed events arrive."""
    if reason := why_not():
        pytest.skip(reason)
    with Postgres() as database:
        stack = stack_factory(TIDEWIRE_DATABASE_URL=database.url)
        stack.run("-m", "deploy.local.prepare", timeout_seconds=PREPARE_SECONDS)
        with stack:
            count = size(100, 20)
            with scene(
                stack, "PostgreSQL stopped for 5 s (power cut)", pages=people(stack, count), per_second=10, order=61
            ) as run:
                start(run, "PostgreSQL is stopped")
                database.stop()
                last_for(run, FAULT_SECONDS)
                database.start()
                judge(run, people=count, ended=time.time(), saves=False)
                run.target(
                    "saves failed while it was unavailable, and no longer", run.publisher.failed > 0, run.publisher.last
                )
                run.target("pages are back", (status := page(stack, run)) == 200, f"status {status}")
                run.verdict()
