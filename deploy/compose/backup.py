"""`make compose-backup` and `make compose-restore`: PostgreSQL's data in a file, and back.

A restore fills a database of its own while the site runs, and then gives it the site's name, so that a failure
changes nothing. The database from before remains under another name until the next restore.
"""
# ruff: noqa: INP001 - deploy/ is no package; `python -m deploy.compose.backup` finds it from the root

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from deploy.compose import files, signals, transfer, upgrade
from deploy.compose.engine import ROOT, Container, Engine, EngineError, Stop
from deploy.compose.release import say

BACKUPS = ROOT / "var" / "backups"
NAME = "tidewire"
RESTORING = "tidewire_restoring"
BEFORE = "tidewire_before_restore"
# A table that each version of this product has, and no other one.
MARKER = "dashboard_document"
MAGIC = b"PGDMP"
# Ends connections between two requests, and waits for requests on their way; all on one line of psql's input.
CALM = (
    "do $$ begin for attempt in 1..40 loop perform pg_stat_clear_snapshot(); "
    "perform pg_terminate_backend(pid) from pg_stat_activity where datname = 'tidewire' and state = 'idle' "
    "and state_change < clock_timestamp() - interval '0.3 s'; "
    "exit when not exists (select from pg_stat_activity where datname = 'tidewire'); "
    "perform pg_sleep(0.05); end loop; end $$"
)
# Ends those that are left.
CUT = (
    "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname in ('tidewire', 'tidewire_restoring')"
)


def save(engine: Engine, file: Path | None = None) -> Path:
    """Write the database to a file, which is there only if it is whole. Return its path."""
    postgres = _postgres(engine)
    path = file or BACKUPS / f"{NAME}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump"
    if path.exists():
        raise Stop(f"{path} is there already; name another file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.stat()
    except OSError as error:
        raise Stop(f"{path.parent} cannot be used: {error.strerror}") from None
    size = int(sql(engine, postgres, NAME, f"select pg_database_size('{NAME}')"))
    say(f"{NAME} has {transfer.megabytes(size)} in PostgreSQL; a backup is smaller")
    part = path.with_name(f"{path.name}.part")
    try:
        transfer.out_of(engine, postgres, transfer.client("pg_dump", "--format=custom", f"--dbname={NAME}"), part)
        _check(engine, postgres, part)
        files.move(part, path)
    finally:
        part.unlink(missing_ok=True)
    say(f"backup: {path}, {transfer.megabytes(path.stat().st_size)}")
    return path


def restore(engine: Engine, file: Path | None) -> None:
    """Replace the site's data by a backup's. Raises `Stop`, with nothing changed, if that cannot be done wholly."""
    if file is None:
        there = ", ".join(str(path.relative_to(ROOT)) for path in sorted(BACKUPS.glob("*.dump"))[-3:])
        raise Stop(f"which backup? FILE=... names it; the newest: {there or 'none in var/backups'}")
    postgres = _postgres(engine)
    _check(engine, postgres, file)
    upgrade.running_images(engine)
    _repair(engine, postgres)
    say(f"restoring {file} into a database of its own; the site runs on")
    sql(engine, postgres, "postgres", f"drop database if exists {RESTORING} with (force)")
    sql(engine, postgres, "postgres", f"create database {RESTORING} owner {NAME}")
    try:
        command = ("pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", f"--dbname={RESTORING}")
        transfer.into(engine, postgres, transfer.client(*command), file)
        if sql(engine, postgres, RESTORING, f"select to_regclass('{MARKER}') is null") == "t":
            raise Stop(f"{file} is no backup of tidewire: it has no table {MARKER}")
        _migrate(engine)
    except BaseException:
        with signals.held():
            sql(engine, postgres, "postgres", f"drop database if exists {RESTORING} with (force)")
            say("nothing was changed: the site has its data as before")
        raise
    with signals.held():
        _switch(engine, postgres)
    images = upgrade.running_images(engine)
    upgrade.replace(engine, images, images)
    say(f"restored. The data from before is in the database {BEFORE} until the next restore; to delete it: {_drop()}")


def _switch(engine: Engine, postgres: Container) -> None:
    """Exchange the databases while Redis is down, which must begin without events of the other data."""
    say("exchanging the databases: pages wait for some seconds")
    engine.compose("stop", "redis")
    try:
        sql(engine, postgres, "postgres", f"drop database if exists {BEFORE} with (force)")
        # In one session, so that the moment in which the site has no database is short.
        sql(
            engine,
            postgres,
            "postgres",
            f"alter database {NAME} with allow_connections false",
            CALM,
            CUT,
            # Both or none, whatever is interrupted.
            "begin",
            f"alter database {NAME} rename to {BEFORE}",
            f"alter database {RESTORING} rename to {NAME}",
            f"alter database {BEFORE} with allow_connections true",
            "commit",
        )
    except EngineError:
        _repair(engine, postgres)
        say("nothing was changed: the site has its data as before")
        raise
    finally:
        engine.up("redis")


def _repair(engine: Engine, postgres: Container) -> None:
    """Let the site use its database again after an exchange that was interrupted."""
    names = sql(engine, postgres, "postgres", "select datname from pg_database").split()
    if NAME not in names and BEFORE in names:
        sql(engine, postgres, "postgres", f"alter database {BEFORE} rename to {NAME}")
    sql(engine, postgres, "postgres", f"alter database {NAME} with allow_connections true")


def _migrate(engine: Engine) -> None:
    """Bring a backup of an earlier version to this version's tables. A later version's would stay unknown to it."""
    code = (
        "import os, pathlib; url = pathlib.Path('/run/secrets/TIDEWIRE_DATABASE_URL').read_text().strip(); "
        f"os.environ['TIDEWIRE_DATABASE_URL'] = url.rpartition('/')[0] + '/{RESTORING}'; "
        "os.execvp('python', ['python', 'services/web/manage.py', 'migrate', '--noinput', '--verbosity', '0'])"
    )
    engine.compose("run", "--rm", "--no-deps", "-T", "migrate", "python", "-c", code, timeout_seconds=3600.0)


def _check(engine: Engine, postgres: Container, file: Path) -> None:
    """Raise `Stop` for a file that is no whole backup."""
    try:
        with file.open("rb") as opened:
            start = opened.read(len(MAGIC))
    except OSError as error:
        raise Stop(f"{file} cannot be read: {error.strerror}") from None
    if start != MAGIC:
        what = "is empty" if not start else "was not written by `make compose-backup` (pg_dump --format=custom)"
        raise Stop(f"{file} {what}")
    try:
        # Reads it to its end, so that a file which was cut off is found before anything is changed.
        transfer.into(engine, postgres, "pg_restore --file=/dev/null", file, words="reading")
    except EngineError as error:
        raise Stop(f"{file} is damaged or was cut off: {_last_line(error)}") from None


def _postgres(engine: Engine) -> Container:
    running = engine.containers("postgres")
    if not running:
        raise Stop("postgres does not run here; `make compose-up` starts everything")
    return running[0]


def sql(engine: Engine, postgres: Container, database: str, *statements: str) -> str:
    """Run the statements in one session, each for itself, and return their output."""
    options = "--no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1"
    client = transfer.client(f"psql {options} --dbname={database}")
    return engine.feed(postgres, "".join(f"{each};\n" for each in statements), "sh", "-c", client).strip()


def _drop() -> str:
    return f"docker compose exec postgres sh -c '{transfer.client(f'dropdb {BEFORE}')}'"


def _last_line(error: EngineError) -> str:
    return str(error).strip().splitlines()[-1][-300:]


def main() -> int:
    command, *names = sys.argv[1:] or [""]
    file = Path(names[0]).absolute() if names else None
    if command == "save" and len(names) <= 1:
        return upgrade.run_command("compose-backup", lambda engine: void(save(engine, file)))
    if command == "restore" and len(names) <= 1:
        return upgrade.run_command("compose-restore", lambda engine: restore(engine, file))
    sys.stderr.write("python -m deploy.compose.backup save [FILE] | restore FILE\n")
    return 2


def void(_value: object) -> None:
    return None


if __name__ == "__main__":
    sys.exit(main())
