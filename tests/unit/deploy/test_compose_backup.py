"""deploy.compose.backup on a fake docker whose PostgreSQL keeps the names of its databases."""

import re

import pytest

from deploy.compose import backup, transfer, upgrade
from deploy.compose.engine import EngineError, Stop
from tests.unit.deploy.fake_docker import FakeDocker, deployed

BACKUP = b"PGDMP and more"


class FakePostgres(FakeDocker):
    """Understands the statements that the module sends. `broken`: a statement with these words fails."""

    def __init__(self):
        super().__init__(images={"tidewire-web:dev": "web@1", "tidewire-ws:dev": "ws@1"})
        self.databases = {"tidewire": "live"}
        self.breaks = ""
        self.sessions = []
        for service, image in (("web", "web@1"), ("ws", "ws@1"), ("relay", "web@1"), ("postgres", "pg")):
            self.start(service, image)

    def run(self, command, environment, **more):
        if command[:2] == ("docker", "exec") and "psql" in command[-1]:
            return self._statements(more["stdin"].read().decode().replace(";", "").splitlines())
        return super().run(command, environment, **more)

    def _statements(self, statements):
        names = self.databases
        self.sessions.append(statements)
        undo = names
        for text in statements:
            if self.breaks and self.breaks in text:
                self.databases = undo
                raise EngineError(f"psql failed: {text}")
            if found := re.fullmatch(r"drop database if exists (\w+) with \(force\)", text):
                names.pop(found[1], None)
            elif found := re.match(r"create database (\w+)", text):
                names[found[1]] = "empty"
            elif text == "begin":
                undo = dict(names)
            elif found := re.fullmatch(r"alter database (\w+) rename to (\w+)", text):
                names[found[2]] = names.pop(found[1])
        return {"select pg_": "1000000", "select dat": "\n".join(names), "select to_": "f"}.get(statements[0][:10], "")


@pytest.fixture
def docker(monkeypatch):
    docker = FakePostgres()

    def into(_engine, _container, command, _path, **_more):
        if "--single-transaction" in command:
            docker.databases["tidewire_restoring"] = "restored"

    monkeypatch.setattr(transfer, "into", into)
    monkeypatch.setattr(transfer, "out_of", lambda _engine, _container, _command, path: path.write_bytes(BACKUP))
    return docker


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.dump"
    path.write_bytes(BACKUP)
    return path


def test_backup_is_there_only_when_it_is_whole(docker, tmp_path, monkeypatch):
    path = backup.save(docker.engine(), tmp_path / "new" / "b.dump")
    assert path.read_bytes() == BACKUP

    def cut_off(*_arguments, **_more):
        raise EngineError("pg_restore: error: unexpected end of file")

    monkeypatch.setattr(transfer, "into", cut_off)
    with pytest.raises(Stop, match="damaged or was cut off: pg_restore: error: unexpected end of file"):
        backup.save(docker.engine(), tmp_path / "c.dump")
    assert sorted(each.name for each in tmp_path.rglob("*.dump*")) == ["b.dump"]


def test_backup_does_not_overwrite(docker, file):
    with pytest.raises(Stop, match="is there already"):
        backup.save(docker.engine(), file)


def test_restore_exchanges_the_databases_and_keeps_the_one_before(docker, file):
    backup.restore(docker.engine(), file)
    assert docker.databases == {"tidewire": "restored", "tidewire_before_restore": "live"}
    # Redis is stopped before the exchange and started after it; then everything starts with the restored data.
    words = [" ".join(command) for command in docker.commands]
    assert next(i for i, each in enumerate(words) if each.endswith("stop redis")) < next(
        i for i, each in enumerate(words) if each.endswith("--no-recreate redis")
    )
    assert docker.did("--scale", "web=2")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b"-- SQL", "was not written by `make compose-backup`"),
    ],
)
def test_file_that_is_no_backup_is_refused_before_anything_changes(docker, tmp_path, content, words):
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Stop, match=words):
        backup.restore(docker.engine(), path)
    assert docker.databases == {"tidewire": "live"}


def test_restore_without_a_file_names_the_newest(docker):
    with pytest.raises(Stop, match=r"FILE=\.\.\. names it"):
        backup.restore(docker.engine(), None)


def test_restore_that_fails_half_way_changes_nothing(docker, file, monkeypatch, capsys):
    def fails(_engine, _container, command, _path, **_more):
        if "--single-transaction" in command:
            raise EngineError("pg_restore: error: out of disk")

    monkeypatch.setattr(transfer, "into", fails)
    with pytest.raises(EngineError, match="out of disk"):
        backup.restore(docker.engine(), file)
    assert docker.databases == {"tidewire": "live"}
    assert "nothing was changed" in capsys.readouterr().out
    assert not docker.did("stop", "redis")


@pytest.mark.parametrize("breaks", ["rename to tidewire_before_restore", "tidewire_restoring rename"])
def test_exchange_that_fails_half_way_gives_the_site_its_data_back(docker, file, breaks):
    docker.breaks = breaks
    with pytest.raises(EngineError):
        backup.restore(docker.engine(), file)
    assert docker.databases["tidewire"] == "live"
    assert docker.did("--no-recreate", "redis")


def test_second_restore_replaces_the_data_that_the_first_one_kept(docker, file):
    backup.restore(docker.engine(), file)
    docker.databases["tidewire"] = "worked on"
    backup.restore(docker.engine(), file)
    assert docker.databases == {"tidewire": "restored", "tidewire_before_restore": "worked on"}


def test_restore_needs_a_running_site(file):
    docker = deployed()
    with pytest.raises(Stop, match="postgres does not run here"):
        backup.restore(docker.engine(), file)
    assert upgrade.running_images(docker.engine()) == {"web": "web@1", "ws": "ws@1"}


def test_requests_end_before_the_databases_are_exchanged(docker, file):
    """Only an idle connection is ended at first; the others have two seconds."""
    backup.restore(docker.engine(), file)
    [exchange] = [each for each in docker.sessions if backup.CUT in each]
    assert exchange[1:3] == [backup.CALM.replace(";", ""), backup.CUT]
    assert "\n" not in backup.CALM


def test_exchange_that_was_interrupted_between_the_names_loses_no_data(docker, file):
    """As an earlier release, or a person, may have left it: the site has no database, and its data another name."""
    docker.databases = {"tidewire_before_restore": "live", "tidewire_restoring": "restored"}
    backup.restore(docker.engine(), file)
    assert docker.databases == {"tidewire": "restored", "tidewire_before_restore": "live"}


def test_both_names_are_exchanged_in_one_transaction(docker, file):
    backup.restore(docker.engine(), file)
    [exchange] = [each for each in docker.sessions if backup.CUT in each]
    inside = exchange[exchange.index("begin") : exchange.index("commit")]
    assert sum("rename to" in each for each in inside) == 2


def test_backup_of_another_django_project_is_refused(docker, file, monkeypatch):
    """The backup has tables of Django too, and the migrations would add those of this product to it."""
    sql = backup.sql

    def foreign(engine, postgres, database, *statements):
        if "to_regclass" in statements[0]:
            return "f" if "django_migrations" in statements[0] else "t"
        return sql(engine, postgres, database, *statements)

    monkeypatch.setattr(backup, "sql", foreign)
    with pytest.raises(Stop, match="is no backup of tidewire: it has no table dashboard_document"):
        backup.restore(docker.engine(), file)
    assert docker.databases == {"tidewire": "live"}
