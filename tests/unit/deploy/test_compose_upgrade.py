"""deploy.compose.upgrade with surge, releases, nginx and the other services, on a fake docker."""

import io
import os
import signal
import subprocess
from datetime import UTC, datetime

import pytest

from deploy.compose import front, release, upgrade
from deploy.compose.engine import EngineError, Stop
from deploy.compose.release import tree_version
from deploy.compose.surge import Surge
from tests.unit.deploy.fake_docker import deployed

NEW = {"web": "web@2", "ws": "ws@2"}
OLD = {"web": "web@1", "ws": "ws@1"}


def test_upgrade_replaces_each_container_and_remembers_the_version_before():
    docker = deployed()
    upgrade.upgrade(docker.engine(VERSION="2"))
    assert docker.running("web") == docker.running("relay") == ["web@2"]
    assert docker.running("ws") == ["ws@2", "ws@2"]
    assert (docker.images["tidewire-ws:dev"], docker.images["tidewire-ws:dev-previous"]) == ("ws@2", "ws@1")
    assert docker.images["tidewire-web:2"] == "web@2"


def test_migrations_and_static_files_come_first_and_the_relay_last():
    docker = deployed()
    upgrade.replace(docker.engine(), OLD, NEW)
    words = [" ".join(command) for command in docker.commands]
    at = [
        next(i for i, each in enumerate(words) if part in each)
        for part in ("up --detach --no-recreate migrate static", "up --no-start", "stop c1-web", "stop c4-relay")
    ]
    assert at == sorted(at)
    stops = [each for each in words if each.startswith("docker stop")]
    assert stops[-1] == "docker stop c4-relay"


def test_old_containers_end_only_when_all_new_ones_are_ready():
    docker = deployed()
    surge = Surge(docker.engine(), lambda _words: None)
    docker.images |= {"tidewire-web:dev": "web@2", "tidewire-ws:dev": "ws@2"}
    surge.start()
    assert docker.running("ws") == ["ws@1", "ws@1", "ws@2", "ws@2"]
    assert not docker.did("stop")
    surge.finish()
    assert docker.running("ws") == ["ws@2", "ws@2"]


@pytest.mark.parametrize(("how", "words"), [("unhealthy", "is not ready after 150 s"), ("exits", "does not stay up")])
def test_new_containers_that_are_not_ready_end_and_the_old_ones_go_on(how, words):
    docker = deployed()
    docker.broken["ws@2"] = how
    with pytest.raises(Stop, match=words):
        upgrade.replace(docker.engine(), OLD, NEW)
    assert docker.running("web") == ["web@1"]
    assert docker.running("ws") == ["ws@1", "ws@1"]
    assert docker.running("relay") == ["web@1"]
    assert docker.images["tidewire-ws:dev"] == "ws@1"
    assert "tidewire-ws:dev-previous" not in docker.images


def test_ws_that_lives_but_does_not_accept_sockets_is_not_ready():
    docker = deployed()
    docker.failing.append(("exec", "python"))
    with pytest.raises(Stop, match="ws is not ready"):
        upgrade.replace(docker.engine(), OLD, NEW)


def test_migration_that_fails_starts_nothing():
    docker = deployed()
    docker.job_codes = ["1"]
    docker.answers["logs --no-color --no-log-prefix"] = "column exists already"
    with pytest.raises(Stop, match="the job migrate failed") as caught:
        upgrade.replace(docker.engine(), OLD, NEW)
    assert "column exists already" in str(caught.value)
    assert not docker.did("--scale")
    assert docker.images["tidewire-web:dev"] == "web@1"


def test_ctrl_c_goes_back_too():
    docker = deployed()
    surge = Surge(docker.engine(), lambda _words: None)

    def interrupted(_service):
        raise KeyboardInterrupt

    surge.wait = interrupted
    with pytest.raises(KeyboardInterrupt):
        upgrade.replace(docker.engine(), OLD, NEW, surge=surge)
    assert docker.running("ws") == ["ws@1", "ws@1"]
    assert docker.images["tidewire-ws:dev"] == "ws@1"


class Killed(BaseException):
    """The command is gone at this moment, without a way back: SIGKILL, or the power failed."""


def killed_at(docker, monkeypatch, *words):
    """Upgrade to version 2, and end the command when it runs a command with these words."""
    with monkeypatch.context() as patch:
        patch.setattr(upgrade, "_back", lambda *_arguments: None)
        run = docker.run

        def until(command, environment, **more):
            if set(words) <= set(command):
                raise Killed
            return run(command, environment, **more)

        patch.setattr(docker, "run", until)
        with pytest.raises(Killed):
            upgrade.upgrade(docker.engine(VERSION="2"))


# The steps of an upgrade before the new containers serve.
STEPS = [
    ("rm", "migrate"),
    ("wait",),
    ("--no-start",),
    ("start", "c5-web"),
    ("start", "c7-ws"),
    ("inspect", "c8-relay"),
]


@pytest.mark.parametrize("step", STEPS, ids=" ".join)
def test_upgrade_that_was_killed_runs_again_and_remembers_the_version_that_served(step, monkeypatch):
    docker = deployed(**{"tidewire-web:dev-previous": "web@0", "tidewire-ws:dev-previous": "ws@0"})
    killed_at(docker, monkeypatch, *step)
    upgrade.upgrade(docker.engine(VERSION="2"))
    assert sorted(docker.running("web") + docker.running("relay")) == ["web@2", "web@2"]
    assert docker.running("ws") == ["ws@2", "ws@2"]
    assert docker.images["tidewire-web:dev-previous"] == "web@1"
    assert docker.images["tidewire-ws:dev-previous"] == "ws@1"


@pytest.mark.parametrize("step", STEPS, ids=" ".join)
def test_rollback_of_an_upgrade_that_was_killed_returns_to_the_version_that_served(step, monkeypatch):
    docker = deployed(**{"tidewire-web:dev-previous": "web@0", "tidewire-ws:dev-previous": "ws@0"})
    killed_at(docker, monkeypatch, *step)
    upgrade.rollback(docker.engine())
    assert docker.running("web") == docker.running("relay") == ["web@1"]
    assert docker.running("ws") == ["ws@1", "ws@1"]
    assert docker.images["tidewire-ws:dev"] == "ws@1"
    assert docker.images["tidewire-ws:dev-previous"] == "ws@0"


@pytest.mark.parametrize("step", [("stop", "c2-ws"), ("stop", "c4-relay")], ids=" ".join)
def test_upgrade_that_was_killed_while_the_old_ones_end_keeps_the_version_before(step, monkeypatch):
    docker = deployed()
    killed_at(docker, monkeypatch, *step)
    upgrade.upgrade(docker.engine(VERSION="2"))
    assert docker.running("ws") == ["ws@2", "ws@2"]
    assert docker.images["tidewire-ws:dev-previous"] == "ws@1"
    assert docker.record.read() is None


def test_surge_of_the_same_version_that_was_killed_does_not_double_the_replicas(monkeypatch):
    """A rotation or a restore: the containers of its two generations have the same image."""
    docker = deployed()
    docker.images |= {"tidewire-web:2": "web@1", "tidewire-ws:2": "ws@1"}
    killed_at(docker, monkeypatch, "stop", "c2-ws")
    upgrade.replace(docker.engine(), OLD, OLD)
    assert docker.running("ws") == ["ws@1", "ws@1"]
    assert docker.running("relay") == docker.running("web") == ["web@1"]


def test_record_whose_containers_are_gone_counts_no_longer():
    """Everything was stopped and started since, by hand: the version before is the one that has the tag."""
    docker = deployed(**{"tidewire-web:dev-previous": "web@0", "tidewire-ws:dev-previous": "ws@0"})
    docker.record.write({"web": "web@old", "ws": "ws@old"}, {"web": 5, "ws": 5, "relay": 5})
    upgrade.rollback(docker.engine())
    assert docker.running("web") == ["web@0"]
    assert docker.running("ws") == ["ws@0", "ws@0"]


def test_job_of_an_interrupted_command_ends_before_the_next_one():
    """Its container runs on without the command, and `--no-recreate` would take it for this version's."""
    docker = deployed()
    upgrade.upgrade(docker.engine(VERSION="2"))
    words = [" ".join(command) for command in docker.commands]
    started = words.index("docker compose up --detach --no-recreate migrate static volumes")
    assert "docker compose rm --force --stop migrate static volumes" in words[:started]


def test_migration_that_was_interrupted_ends_on_the_way_back():
    docker = deployed()
    docker.job_codes = ["1"]
    with pytest.raises(Stop):
        upgrade.replace(docker.engine(), OLD, NEW)
    words = [" ".join(command) for command in docker.commands]
    assert words.count("docker compose rm --force --stop migrate static volumes") == 2
    assert docker.record.read() is None


def test_database_that_hangs_does_not_keep_the_way_back(monkeypatch):
    docker = deployed()
    waits = []
    run = docker.run

    def note(command, environment, **more):
        if command[1] == "wait":
            waits.append(more["timeout_seconds"])
            raise EngineError("took longer")
        return run(command, environment, **more)

    monkeypatch.setattr(docker, "run", note)
    with pytest.raises(EngineError, match="took longer"):
        upgrade.replace(docker.engine(), OLD, NEW)
    assert waits == [3600, 60]
    assert docker.images["tidewire-ws:dev"] == "ws@1"


def test_full_disk_stops_an_upgrade_before_anything_has_changed():
    docker = deployed()
    docker.record.full = True
    with pytest.raises(Stop, match="the record cannot be written: No space left on device; nothing was changed"):
        upgrade.replace(docker.engine(), OLD, NEW)
    assert docker.images["tidewire-ws:dev"] == "ws@1"


def test_disk_that_fills_during_an_upgrade_does_not_stop_it_half_way():
    docker = deployed()
    surge = Surge(docker.engine(), lambda _words: None)
    start = surge.start

    def start_and_fill():
        start()
        docker.record.full = True

    surge.start = start_and_fill
    upgrade.replace(docker.engine(), OLD, NEW, surge=surge)
    assert docker.running("ws") == ["ws@2", "ws@2"]


def test_new_container_that_was_ready_and_ends_while_others_start_goes_back():
    docker = deployed()
    surge = Surge(docker.engine(), lambda _words: None)
    wait = surge.wait

    def wait_and_lose_web(service):
        wait(service)
        if service == "relay":
            docker.containers["c5-web"]["RestartCount"] = 1

    surge.wait = wait_and_lose_web
    with pytest.raises(Stop, match="c5-web does not stay up"):
        upgrade.replace(docker.engine(), OLD, NEW, surge=surge)
    assert docker.running("web") == ["web@1"]


def test_tag_goes_back_although_the_new_containers_do_not_end():
    docker = deployed()
    docker.broken["ws@2"] = "unhealthy"
    docker.failing.append(("stop", "c6-ws"))
    with pytest.raises(Stop, match="is not ready"):
        upgrade.replace(docker.engine(), OLD, NEW)
    assert docker.images["tidewire-ws:dev"] == "ws@1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_that_ends_a_command_goes_back_and_does_not_interrupt_the_way_back(number, monkeypatch):
    docker = deployed()
    surge = Surge(docker.engine(), lambda _words: None)

    def interrupted(_service):
        os.kill(os.getpid(), number)

    back = surge.back

    def back_and_again():
        os.kill(os.getpid(), number)
        back()

    surge.wait, surge.back = interrupted, back_and_again
    monkeypatch.setattr(upgrade, "Engine", docker.engine)
    assert upgrade.run_command("x", lambda engine: upgrade.replace(engine, OLD, NEW, surge=surge)) == 130
    assert docker.running("ws") == ["ws@1", "ws@1"]
    assert docker.images["tidewire-ws:dev"] == "ws@1"
    assert docker.record.read() is None


def test_terminal_that_was_closed_does_not_interrupt_the_way_back(monkeypatch):
    class Closed(io.StringIO):
        def write(self, _text):
            raise OSError(5, "Input/output error")

    docker = deployed()
    docker.broken["ws@2"] = "unhealthy"
    monkeypatch.setattr("sys.stdout", Closed())
    with pytest.raises(Stop, match="is not ready"):
        upgrade.replace(docker.engine(), OLD, NEW)
    assert docker.running("ws") == ["ws@1", "ws@1"]


def test_start_after_compose_down_remembers_the_version_before():
    docker = deployed()
    docker.containers.clear()
    release.start(docker.engine(VERSION="2"))
    assert docker.images["tidewire-ws:dev"] == "ws@2"
    assert docker.images["tidewire-ws:dev-previous"] == "ws@1"
    release.start(docker.engine(VERSION="2"))
    assert docker.images["tidewire-ws:dev-previous"] == "ws@1"


def test_number_of_replicas_stays_after_a_surge_that_was_interrupted():
    docker = deployed()
    for _ in range(2):
        docker.start("ws", "ws@0")
    upgrade.replace(docker.engine(), OLD, NEW)
    assert docker.running("ws") == ["ws@2", "ws@2"]


def test_killed_container_is_named(capsys):
    docker = deployed()
    docker.exit_codes["c2-ws"] = 137
    upgrade.replace(docker.engine(), OLD, NEW)
    assert "c2-ws had to be killed" in capsys.readouterr().out


def test_rollback_returns_and_a_second_one_goes_forward_again():
    docker = deployed()
    upgrade.upgrade(docker.engine(VERSION="2"))
    upgrade.rollback(docker.engine())
    assert docker.running("ws") == ["ws@1", "ws@1"]
    upgrade.rollback(docker.engine())
    assert docker.running("ws") == ["ws@2", "ws@2"]


def test_rollback_without_a_version_before_says_so():
    with pytest.raises(Stop, match="there is no version before"):
        upgrade.rollback(deployed().engine())


def test_upgrade_of_what_does_not_run_names_the_command():
    docker = deployed()
    for name in list(docker.containers):
        docker.run(("docker", "rm", "--force", name), {})
    with pytest.raises(Stop, match="web does not run here; `make compose-up`"):
        upgrade.upgrade(docker.engine(VERSION="2"))


def test_version_that_is_there_is_not_built():
    docker = deployed(**{"tidewire-web:7": "web@7", "tidewire-ws:7": "ws@7"})
    upgrade.upgrade(docker.engine(VERSION="7"))
    assert not docker.did("build")
    assert docker.running("web") == ["web@7"]


def test_old_versions_lose_their_tags():
    docker = deployed(**{f"tidewire-ws:0.1.0-{number:07x}": f"ws@{number}" for number in range(9)})
    upgrade.upgrade(docker.engine(VERSION="2"))
    assert sum(name.startswith("tidewire-ws:0.1.0-") for name in docker.images) == upgrade.KEPT


def test_configuration_that_nginx_refuses_changes_nothing():
    docker = deployed()
    docker.failing.append(("nginx", "-t"))
    with pytest.raises(Stop, match="nginx refuses the new configuration"):
        upgrade.upgrade(docker.engine(VERSION="2"))
    assert docker.images["tidewire-ws:dev"] == "ws@1"


def test_nginx_is_reloaded_before_the_drain_and_left_if_its_settings_changed():
    docker, said = deployed(), []
    docker.answers["config --format json"] = '{"services": {"nginx": {"image": "nginx:1"}}}'
    docker.start("nginx", "nginx@1")
    docker.answers["reload.sh"] = "reloaded with its changed configuration"
    front.reload(docker.engine(), said.append)
    docker.answers["config --hash nginx"] = "nginx other"
    front.reload(docker.engine(), said.append, "--scale ws=4 ")
    assert said[0] == "nginx: reloaded with its changed configuration"
    assert "nginx is left as it runs" in said[1]
    assert said[1].endswith("docker compose up --detach --scale ws=4 nginx")


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_version_has_the_commit_and_a_time_if_files_differ(tree):
    clean = tree_version({}, tree)
    assert upgrade.VERSION.fullmatch(clean)
    assert clean.startswith("1.2.3-")
    (tree / "pyproject.toml").write_text('[project]\nversion = "1.2.4"\n')
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert tree_version({}, tree, now).endswith("-20260102T030405")
    assert upgrade.VERSION.fullmatch(tree_version({}, tree, now))


@pytest.mark.parametrize("name", ["a b", "../x", "dev", "1-previous"])
def test_version_that_cannot_be_a_tag_is_refused(name):
    with pytest.raises(Stop, match="VERSION="):
        tree_version({"VERSION": name})


def test_one_deployment_at_a_time(tmp_path):
    with (
        upgrade.locked(tmp_path / "lock"),
        pytest.raises(Stop, match="another upgrade"),
        upgrade.locked(tmp_path / "lock"),
    ):
        pass


def test_error_of_docker_is_one_line(capsys, monkeypatch):

    def fails(_engine):
        raise EngineError("`docker compose ps` failed (1): no engine")

    monkeypatch.setattr(upgrade, "locked", _unlocked)
    assert upgrade.run_command("compose-upgrade", fails) == 1
    assert capsys.readouterr().err == "compose-upgrade: `docker compose ps` failed (1): no engine\n"


class _unlocked:  # noqa: N801 - stands for a function
    def __enter__(self):
        return None

    def __exit__(self, *_exception):
        return None


def test_first_start_tags_the_images_by_version_too():
    docker = deployed()
    engine = docker.engine(VERSION="3")
    release.build(engine, "3")
    release.point(engine, to=release.tagged(engine, "3"), tag="dev")
    assert docker.images["tidewire-web:dev"] == docker.images["tidewire-web:3"] == "web@3"
