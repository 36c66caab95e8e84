"""deploy.compose.rotate on a fake docker: the order in which old and new values are valid, and the proof."""

import hashlib
import re

import pytest

from deploy.compose import files as disk
from deploy.compose import neighbours, rotate
from deploy.compose.engine import EngineError, Stop
from deploy.compose.make_secrets import main as make_secrets
from tests.unit.deploy.fake_docker import FakeDocker


class FakeServers(FakeDocker):
    """Notes the files of the secrets at each step; its servers accept `accepted` and whatever is in the files."""

    def __init__(self, directory):
        super().__init__(images={"tidewire-web:dev": "web@1", "tidewire-ws:dev": "ws@1"})
        self.directory = directory
        self.steps = []
        self.accepts_old = False
        self.roles = []
        self.made = []
        for service, image in (("web", "web@1"), ("ws", "ws@1"), ("relay", "web@1"), ("postgres", "pg")):
            self.start(service, image)

    def run(self, command, environment, **more):
        words = " ".join(command)
        fed = more["stdin"].read().decode() if more.get("stdin") else ""
        if "psql" in words:
            self.steps.append(f"sql: {fed.strip()}")
            return self._sql(fed)
        if "restart redis" in words and "exporter" not in words:
            hashes = (self.directory / "redis.acl").read_text().splitlines()[1].count("#")
            self.steps.append(f"redis with {hashes}")
        elif "--scale ws=" in words:
            self.steps.append("surge")
        elif "sha256sum" in words:
            return hashlib.sha256((self.directory / command[-1].rpartition("/")[2]).read_bytes()).hexdigest() + "  x"
        elif "sys.stdin" in words and not self.accepts_old:
            raise EngineError("refused")
        return super().run(command, environment, **more)

    def _sql(self, text):
        self.made += re.findall(r"create role (\w+)", text)
        self.roles += re.findall(r"create role (\w+)", text)
        for name in re.findall(r"drop role (?:if exists )?(\w+)", text):
            self.roles.remove(name)
        return "\n".join(self.roles) if "from pg_roles" in text else ""


@pytest.fixture
def directory(tmp_path):
    make_secrets(tmp_path / "secrets")
    return tmp_path / "secrets"


@pytest.fixture
def docker(directory):
    return FakeServers(directory)


def engine_of(docker):
    return docker.engine(TIDEWIRE_SECRETS=str(docker.directory))


def files(directory):
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_redis_accepts_both_passwords_while_processes_are_replaced(docker, directory, capsys):
    before, inode = files(directory), (directory / "redis.acl").stat().st_ino
    rotate.redis(engine_of(docker))
    after = files(directory)
    assert docker.steps == ["redis with 2", "surge", "redis with 1"]
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"redis.acl", "TIDEWIRE_REDIS_URL", "redis_exporter.json"}
    # The same file, which containers have mounted.
    assert (directory / "redis.acl").stat().st_ino == inode
    said = capsys.readouterr().out
    assert "proved: 3 containers have the new value" in said
    assert not any(text.strip() in said for text in after.values())


def test_postgres_has_another_role_between_the_two_passwords(docker, directory):
    before = files(directory)
    rotate.postgres(engine_of(docker))
    after = files(directory)
    [passing] = docker.made
    kinds = [step.partition("'")[0][:50] for step in docker.steps]
    assert [kind.split(";")[0] for kind in kinds] == [
        f"sql: create role {passing} login ",
        "surge",
        "sql: alter role tidewire password ",
        "surge",
        "sql: select rolname from pg_roles",
        f"sql: drop role {passing}",
    ]
    assert after["TIDEWIRE_DATABASE_URL"] == f"postgres://tidewire:{after['postgres_password']}@postgres:5432/tidewire"
    assert after["postgres_password"] != before["postgres_password"]


@pytest.mark.parametrize("rotation", [rotate.redis, rotate.postgres])
def test_rotation_whose_new_processes_are_not_ready_keeps_the_old_value(docker, directory, rotation):
    before = files(directory)
    docker.broken["ws@1"] = "unhealthy"
    with pytest.raises(Stop, match="is not ready"):
        rotation(engine_of(docker))
    after = files(directory)
    assert after["TIDEWIRE_REDIS_URL"] == before["TIDEWIRE_REDIS_URL"]
    assert after["TIDEWIRE_DATABASE_URL"] == before["TIDEWIRE_DATABASE_URL"]
    assert after["redis.acl"].split() == before["redis.acl"].split()


def test_old_value_that_is_still_accepted_is_an_error(docker):
    docker.accepts_old = True
    with pytest.raises(Stop, match="the old TIDEWIRE_REDIS_URL is still accepted"):
        rotate.redis(engine_of(docker))


def test_passwords_are_in_no_command(docker, directory):
    before = files(directory)
    rotate.postgres(engine_of(docker))
    secret = {before["postgres_password"], (directory / "postgres_password").read_text()}
    assert not any(value in " ".join(command) for command in docker.commands for value in secret)


def test_database_elsewhere_is_named(docker, directory):
    (directory / "TIDEWIRE_DATABASE_URL").write_text("postgres://app:x@db.example.com/tidewire")
    with pytest.raises(Stop, match="rotate it at its server"):
        rotate.postgres(engine_of(docker))


def test_unknown_secret_names_the_known_ones(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["rotate", "grafana"])
    assert rotate.main() == 2
    assert "SECRET=redis or SECRET=postgres, not grafana" in capsys.readouterr().err


def neighbours_that_fail(_engine, _say):
    raise EngineError("no image of grafana")


def test_redis_keeps_the_new_password_when_only_the_neighbours_fail(docker, directory, monkeypatch, capsys):
    """The processes have it already: with the old list of users the next start of Redis would refuse them all."""
    monkeypatch.setattr(neighbours, "refresh", neighbours_that_fail)
    before = files(directory)
    with pytest.raises(Stop, match="no image of grafana"):
        rotate.redis(engine_of(docker))
    after = files(directory)
    assert after["TIDEWIRE_REDIS_URL"] != before["TIDEWIRE_REDIS_URL"]
    assert after["redis.acl"].splitlines()[1].count("#") == 2
    assert "run this again" in capsys.readouterr().out


def test_role_that_serves_is_not_dropped_by_the_next_attempt(docker, directory, monkeypatch):
    monkeypatch.setattr(neighbours, "refresh", neighbours_that_fail)
    with pytest.raises(Stop, match="no image of grafana"):
        rotate.postgres(engine_of(docker))
    [serving] = docker.roles
    assert f"postgres://{serving}:" in files(directory)["TIDEWIRE_DATABASE_URL"]
    monkeypatch.undo()
    docker.steps.clear()
    rotate.postgres(engine_of(docker))
    dropped = next(i for i, step in enumerate(docker.steps) if f"drop role {serving}" in step)
    assert docker.steps.index("surge") < dropped
    assert docker.roles == []
    assert files(directory)["TIDEWIRE_DATABASE_URL"].startswith("postgres://tidewire:")


def test_password_that_was_set_and_not_written_is_found_again(docker, directory, capsys):
    """As after a power loss between the two. The fake server accepts any password that it is asked about."""
    (directory / "postgres_password.next").write_text("set-by-the-interrupted-one")
    docker.accepts_old = True
    with pytest.raises(Stop, match="the old TIDEWIRE_DATABASE_URL is still accepted"):
        rotate.postgres(engine_of(docker))
    assert "the password of an interrupted rotation is in its file now" in capsys.readouterr().out
    assert "postgres_password.next" not in files(directory)


def test_full_disk_leaves_each_secret_as_it_was(docker, directory, monkeypatch):
    before = files(directory)
    real, calls = disk.os.write, []

    def write(number, data):
        """Write 20 bytes, then refuse; what the file had needs no room."""
        calls.append(data)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(number, data[:20])

    monkeypatch.setattr(disk.os, "write", write)
    with pytest.raises(Stop, match=r"redis\.acl cannot be written: No space left"):
        rotate.redis(engine_of(docker))
    assert {name: text.strip() for name, text in files(directory).items()} == {
        name: text.strip() for name, text in before.items()
    }
