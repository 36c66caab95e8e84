"""Upgrade, rollback, backup, restore and rotation of secrets under load, by the commands of `make`."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.compose.changes import make, used
from tests.compose.test_up import wait_for
from tests.http_client import fetch
from tidewire.close_codes import CloseCode

pytestmark = pytest.mark.compose

# The watchdog kills after 18 s, and Docker starts the container again.
KILLED_SECONDS = 40.0


def images(compose, *services):
    return {each["Image"] for each in compose.running(*services)}


def unnoticed(change):
    """Assert that people noticed nothing but a reconnect."""
    assert change.code == 0, change.said
    assert change.visits.failures == [], change.visits.reasons()
    assert set(change.closes) == {CloseCode.DRAINING}
    assert change.visits.pages > 0
    assert change.visits.saves > 0


def test_upgrade_and_rollback_are_not_noticed(compose):
    started = compose.running("nginx")[0]["State"]["StartedAt"]
    before = images(compose, "ws")
    with used(compose) as site:
        unnoticed(site.do("compose-upgrade", "VERSION=test-a"))
        [image] = images(compose, "ws")
        assert {image} != before
        unnoticed(site.do("compose-rollback"))
    assert images(compose, "ws") == before
    assert compose.running("nginx")[0]["State"]["StartedAt"] == started
    # A plain `up` finds nothing to do.
    planned = compose("up", "--detach", "--dry-run", "--scale", "ws=2", check=False)
    assert "Recreate" not in planned


def test_version_that_does_not_start_is_not_noticed_at_all(compose):
    for name in ("web", "ws"):
        broken = f'FROM tidewire-{name}:test\nCMD ["python", "-c", "raise SystemExit(\'cannot serve\')"]\n'
        command = ["docker", "build", "--quiet", "--tag", f"tidewire-{name}:test-broken", "-"]
        subprocess.run(command, input=broken, text=True, check=True, capture_output=True, env=compose.environment)
    before = {each["Id"] for each in compose.running("web", "ws", "relay")}
    with used(compose) as site:
        change = site.do("compose-upgrade", "VERSION=test-broken")
    assert change.code != 0
    # Its first job is the migrations, which this command cannot make fail; the containers do not stay up.
    assert "cannot serve" in change.said
    assert "going back: the old containers serve as before" in change.said
    assert change.visits.failures == []
    assert change.closes == {}
    assert {each["Id"] for each in compose.running("web", "ws", "relay")} == before


def test_static_files_of_both_versions_are_served(compose):
    manifest = json.loads(compose("exec", "-T", "web", "cat", "/app/static/staticfiles.json"))
    old = f"{compose.url}/static/web/of-the-version-before.0123456789ab.css"
    planted = (
        "import json, pathlib; root = pathlib.Path('/srv/static'); path = root / 'staticfiles.json'; "
        "found = json.loads(path.read_text()); name = 'web/of-the-version-before.0123456789ab.css'; "
        "(root / name).write_text('a{}'); found['paths']['x'] = name; path.write_text(json.dumps(found))"
    )
    compose("run", "--rm", "-T", "--no-deps", "static", "python", "-c", planted)
    done = make(compose, "compose-upgrade", "VERSION=test-b")
    assert done.returncode == 0, done.stdout + done.stderr
    assert fetch(old).status == 200
    assert fetch(f"{compose.url}/static/{manifest['paths']['web/tidewire.css']}").status == 200


def test_backup_comes_back_under_load(compose, tmp_path):
    """A session after the backup is gone, those of the backup remain, and no page of theirs fails."""
    file = f"FILE={tmp_path}/site.dump"
    with used(compose) as site:
        unnoticed_backup = site.do("compose-backup", file)
        assert (unnoticed_backup.code, unnoticed_backup.visits.failures) == (0, []), unnoticed_backup.said
        assert Path(f"{tmp_path}/site.dump").stat().st_mode & 0o077 == 0
        ada = compose.log_in("after-the-backup")
        assert fetch(f"{compose.url}/", headers={"Cookie": ada}).status == 200
        change = site.do("compose-restore", file)
    assert change.code == 0, change.said
    # Logged in after the backup: that session is not in it.
    assert fetch(f"{compose.url}/", headers={"Cookie": ada}).status == 302
    assert set(change.closes) <= {CloseCode.DRAINING}
    assert change.visits.failures == [], change.visits.reasons()


@pytest.mark.parametrize("damage", ["half", "text", "missing"])
def test_restore_of_a_bad_file_changes_nothing(compose, tmp_path, damage):
    assert make(compose, "compose-backup", f"FILE={tmp_path}/good.dump").returncode == 0
    bad, good = tmp_path / "bad.dump", (tmp_path / "good.dump").read_bytes()
    words = {"half": "is damaged or was cut off", "text": "was not written by", "missing": "cannot be read"}[damage]
    if damage != "missing":
        bad.write_bytes(good[: len(good) // 2] if damage == "half" else b"select 1;")
    before = {each["Id"] for each in compose.running()}
    done = make(compose, "compose-restore", f"FILE={bad}")
    assert done.returncode != 0
    assert words in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("compose-restore:")]) == 1
    assert {each["Id"] for each in compose.running()} == before


@pytest.mark.parametrize("secret", ["redis", "postgres"])
def test_rotated_secret_is_in_use_and_no_page_fails(compose, secret):
    with used(compose) as site:
        change = site.do("compose-rotate", f"SECRET={secret}")
    assert change.code == 0, change.said
    assert "it is accepted, and the old one is refused" in change.said
    assert change.visits.failures == [], change.visits.reasons()
    assert set(change.closes) == {CloseCode.DRAINING}


def test_access_log_outlives_its_container(compose):
    fetch(f"{compose.url}/login/?outlives=1", headers={"User-Agent": "outlives"})
    count = ("exec", "-T", "nginx", "grep", "-c", "outlives", "/var/log/tidewire/access.log")
    wait_for(lambda: compose(*count, check=False).strip(), lambda found: found == "1", 10)
    # Standard output shows it too.
    wait_for(lambda: compose("logs", "nginx"), lambda said: "outlives" in said, 10)
    compose("rm", "--force", "--stop", "nginx")
    compose.up()
    assert compose(*count, check=False).strip() == "1"


def test_access_log_is_rotated_while_nginx_writes(compose):
    fill = "head -c 21000000 /dev/zero | tr '\\0' x >> /var/log/tidewire/access.log"
    compose("exec", "-T", "nginx", "sh", "-c", fill)
    listed = ("exec", "-T", "nginx", "ls", "/var/log/tidewire")
    wait_for(lambda: compose(*listed).split(), lambda names: "access.log.1" in names, 30)
    fetch(f"{compose.url}/login/", headers={"User-Agent": "after-rotation"})
    count = ("exec", "-T", "nginx", "grep", "-c", "after-rotation", "/var/log/tidewire/access.log")
    wait_for(lambda: compose(*count, check=False).strip(), lambda found: found == "1", 10)
    compose("exec", "-T", "nginx", "sh", "-c", "rm /var/log/tidewire/access.log.1")


def test_ws_node_that_stands_still_is_started_again(compose):
    """No code of a stopped process runs, so its watchdog kills it, which it could not do to a first process."""
    node = compose.running("ws")[0]
    first = node["State"]["Pid"]
    [program, *_] = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    os.kill(int(program), signal.SIGSTOP)

    def started_again():
        [found] = [each for each in compose.running("ws") if each["Id"] == node["Id"]] or [node]
        return found["RestartCount"], found["State"].get("Health", {}).get("Status")

    wait_for(started_again, lambda found: found == (node["RestartCount"] + 1, "healthy"), KILLED_SECONDS)
