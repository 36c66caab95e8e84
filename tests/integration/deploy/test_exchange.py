"""The exchange of databases in a restore, on a real PostgreSQL: both names change, or none does."""

import subprocess
from types import SimpleNamespace

import psycopg
import pytest

from deploy.compose import backup
from deploy.local.layout import LOOPBACK
from tests.postgres import Postgres, why_not

NAMES = "select datname from pg_database where datname like 'tidewire%' order by 1"


@pytest.fixture
def database():
    if reason := why_not():
        pytest.skip(reason)
    with Postgres() as server, psycopg.connect(server.url, autocommit=True) as admin:
        for name in (backup.NAME, backup.RESTORING):
            admin.execute(f"create database {name}")
            with psycopg.connect(server.url.replace("/postgres", f"/{name}")) as each:
                each.execute("create table origin as select %s as name", [name])
        yield server, admin


def exchange(server, monkeypatch, cut_before=""):
    """Run `_switch` with its statements, and end the session before one of them, as if its process were killed."""

    def sql(_engine, _postgres, database, *statements):
        if cut_before in statements:
            statements = statements[: statements.index(cut_before)]
        command = ["psql", "-h", LOOPBACK, "-p", str(server.port), "-U", "tidewire", "-d", database]
        options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        text = "".join(f"{each};\n" for each in statements)
        return subprocess.run(
            [*command, *options], input=text, capture_output=True, text=True, check=True, timeout=120
        ).stdout

    monkeypatch.setattr(backup, "sql", sql)
    engine = SimpleNamespace(compose=lambda *_words: "", up=lambda *_words: None)
    backup._switch(engine, None)


def test_the_restored_database_has_the_site_s_name_and_the_old_one_is_kept(database, monkeypatch):
    server, admin = database
    # A page's connection, which is idle.
    site = server.url.replace("/postgres", "/tidewire")
    with psycopg.connect(site, autocommit=True) as idle:
        idle.execute("select 1")
        exchange(server, monkeypatch)
    assert [name for (name,) in admin.execute(NAMES)] == ["tidewire", "tidewire_before_restore"]
    for name, origin in (("tidewire", "tidewire_restoring"), ("tidewire_before_restore", "tidewire")):
        with psycopg.connect(server.url.replace("/postgres", f"/{name}")) as each:
            assert each.execute("select name from origin").fetchone() == (origin,)


def test_an_exchange_that_was_cut_off_is_repaired_by_the_next_restore(database, monkeypatch):
    server, admin = database
    exchange(server, monkeypatch, cut_before="commit")
    assert [name for (name,) in admin.execute(NAMES)] == ["tidewire", "tidewire_restoring"]
    site = server.url.replace("/postgres", "/tidewire")
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        psycopg.connect(site)
    backup._repair(None, None)
    with psycopg.connect(site) as each:
        assert each.execute("select name from origin").fetchone() == ("tidewire",)
