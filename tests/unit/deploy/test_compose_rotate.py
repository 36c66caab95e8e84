"""deploy.compose.rotate on a fake docker: the order in which old and new values are valid, and the proof."""

import hashlib

import pytest

from deploy.compose import rotate
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
        for service, image in (("web", "web@1"), ("ws", "ws@1"), ("relay", "web@1"), ("postgres", "pg")):
            self.start(service, image)

    def run(self, command, environment, **more):
        words = " ".join(command)
        fed = more["stdin"].read().decode() if more.get("stdin") else ""
        if "psql" in words:
            self.steps.append(f"sql: {fed.strip()}")
        elif "restart redis" in words and "exporter" not in words:
            hashes = (self.directory / "redis.acl").read_text().splitlines()[1].count("#")
            self.steps.append(f"redis with {hashes}")
        elif "--scale ws=" in words:
            self.steps.append("surge")
        elif "sha256sum" in words:
            return hashlib.sha256((self.directory / command[-1].rpartition("/")[2]).read_bytes()).hexdigest() + "  x"
        elif "sys.stdin" in words and not self.accepts_old:
            raise EngineError("refused")
        return super().run(command, environment, **more)


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
    kinds = [step.partition("'")[0][:45] for step in docker.steps]
    assert [kind.split(";")[0] for kind in kinds] == [
        "sql: drop role if exists tidewire_rotation",
        "surge",
        "sql: alter role tidewire password ",
        "surge",
        "sql: drop role tidewire_rotation",
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
