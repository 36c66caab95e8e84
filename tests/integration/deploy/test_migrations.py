"""Migrations of an upgrade beside the site, on a real PostgreSQL: they do not make pages wait."""

import os
import subprocess
import sys
import time

import psycopg
import pytest

from tests.postgres import Postgres, why_not

MIGRATE = (sys.executable, "services/web/manage.py", "migrate", "--noinput", "--verbosity", "0")
# A busy machine: without the limits both tests would wait for ever.
PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def database():
    if reason := why_not():
        pytest.skip(reason)
    with Postgres() as server:
        subprocess.run(MIGRATE, env=environment(server), check=True, timeout=PATIENCE_SECONDS)
        yield server


def environment(server):
    """Return that of a service, without the variables that point to the settings of the tests."""
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("PGOPTIONS", "DJANGO_", "TIDEWIRE_"))
    }
    return {**own, "TIDEWIRE_ENVIRONMENT": "development", "TIDEWIRE_DATABASE_URL": server.url}


def test_migration_that_waits_for_a_table_gives_up_before_pages_do(database):
    """A long transaction has the table; the migration's lock comes next, and every page would queue behind that."""
    with psycopg.connect(database.url) as reader:
        reader.execute("select count(*) from dashboard_document")
        migrate = (*MIGRATE[:3], "dashboard", "zero", *MIGRATE[3:])
        done = subprocess.run(
            migrate, env=environment(database), capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
        )
        assert done.returncode != 0
        assert "lock timeout" in done.stderr
        reader.execute("select count(*) from dashboard_document")


def test_statement_of_a_migration_that_was_killed_ends(database):
    code = (
        "import sys; sys.argv = ['manage.py', 'migrate']; sys.path.insert(0, 'services/web'); import manage; "
        "import django.core.management as m; m.execute_from_command_line = lambda _argv: None; manage.main(); "
        "import django; django.setup(); from django.db import connection; "
        "connection.cursor().execute('select pg_sleep(3600)')"
    )
    running = "select count(*) from pg_stat_activity where query = 'select pg_sleep(3600)'"
    with psycopg.connect(database.url, autocommit=True) as observer:
        process = subprocess.Popen((sys.executable, "-c", code), env=environment(database))
        try:
            wait_for(lambda: observer.execute(running).fetchone() == (1,))
        finally:
            process.kill()
            process.wait()
        wait_for(lambda: observer.execute(running).fetchone() == (0,))


def wait_for(condition):
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
