"""Checks of the compose project without a container engine."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.compose.make_secrets import main as make_secrets
from deploy.compose.make_secrets import unreadable

# Methods of redis-py that are not commands.
METHODS = {"execute", "execute|command", "pipeline", "pubsub", "register|script", "from|url", "aclose", "close"}
ROOT = Path(__file__).resolve().parents[2]


# Words in capitals in the scripts that are options of commands, or types.
OPTIONS = {"EX", "GT", "INF", "KEEPTTL", "LIMIT", "LT", "MAXLEN", "NX", "PX", "XX", "WITHSCORES", "COUNT", "MATCH"}


def test_the_list_of_redis_commands_has_every_command_of_the_code():
    """The list of documents did not change: a script chose between two commands that were not allowed."""
    rules = (ROOT / "deploy/compose/redis.acl").read_text()
    scripts = "".join(path.read_text() for path in (ROOT / "src/tidewire/redis/lua").glob("*.lua"))
    used = {name.lower() for name in set(re.findall(r"'([A-Z]{2,})'", scripts)) - OPTIONS}
    code = "".join(path.read_text() for path in (ROOT / "src/tidewire").rglob("*.py"))
    used |= {
        "del" if name == "delete" else name.replace("_", "|")
        for name in re.findall(r"\b(?:redis|pipe)\.([a-z_]+)\(", code)
    } - METHODS
    assert {"zadd", "sadd", "smembers"} <= used
    assert {name for name in used if f" +{name}" not in rules} == set()


def test_secrets_are_made_once(tmp_path, capsys):
    make_secrets(tmp_path / "secrets")
    before = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    make_secrets(tmp_path / "secrets")
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == before
    printed = capsys.readouterr().out
    assert not any(text.strip() in printed for text in before.values())


def test_secrets_are_made_where_compose_mounts_them(tmp_path):
    environment = {**os.environ, "TIDEWIRE_SECRETS": str(tmp_path / "elsewhere")}
    command = [sys.executable, "-m", "deploy.compose.make_secrets"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert (tmp_path / "elsewhere" / "redis.acl").is_file()


def test_secrets_are_kept_from_others_of_the_host(tmp_path):
    make_secrets(tmp_path / "secrets")
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_redis_is_given_the_hash_of_its_password_only(tmp_path):
    make_secrets(tmp_path)
    password = re.search(r"tidewire:([^@]+)@", (tmp_path / "TIDEWIRE_REDIS_URL").read_text())[1]
    acl = (tmp_path / "redis.acl").read_text()
    assert password not in acl
    assert re.search(r"#[0-9a-f]{64} ", acl)


@pytest.mark.parametrize(
    ("name", "mode"), [("deploy/nginx", 0o700), ("deploy/nginx/nginx.conf", 0o600), ("src", 0o711)]
)
def test_files_that_no_container_could_read_are_found(tmp_path, name, mode):
    """Images and mounts keep the modes of a clone that was made with umask 077."""
    for folder in ("src", "deploy/nginx/__pycache__"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder).chmod(0o755)
    (tmp_path / "deploy/nginx/__pycache__").chmod(0o700)
    (tmp_path / "deploy/nginx").chmod(0o755)
    (tmp_path / "deploy").chmod(0o755)
    (tmp_path / "deploy/nginx/nginx.conf").touch(0o644)
    (tmp_path / "deploy/nginx/nginx.conf").chmod(0o644)
    assert unreadable(tmp_path) is None
    (tmp_path / name).chmod(mode)
    assert unreadable(tmp_path) == Path(name)


def test_half_of_a_secret_is_an_error(tmp_path):
    make_secrets(tmp_path)
    (tmp_path / "redis.acl").unlink()
    with pytest.raises(SystemExit, match=r"only some of redis\.acl"):
        make_secrets(tmp_path)
