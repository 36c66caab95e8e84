"""`make compose-rotate SECRET=...`: other passwords of Redis or PostgreSQL, and proof that they are in use.

While processes with the old value and with the new one run side by side, the server accepts both. Each process is
replaced by a surge (deploy.compose.surge); then the old value ends.
"""
# ruff: noqa: INP001 - deploy/ is no package; `python -m deploy.compose.rotate` finds it from the root

from __future__ import annotations

import hashlib
import secrets
import sys
from pathlib import Path

from deploy.compose import make_secrets, upgrade
from deploy.compose.backup import sql
from deploy.compose.engine import Engine, EngineError, Stop
from deploy.compose.release import say
from deploy.compose.surge import SERVICES

# A login with the rights of the site's role, for the time between its two passwords.
PASSING = "tidewire_rotation"
PASSWORD_BYTES = 24
# The value is on standard input, or in the container's own file.
READ_REDIS = "import redis; redis.Redis.from_url(value).ping()"
READ_POSTGRES = "import psycopg; psycopg.connect(value, connect_timeout=5).execute('select 1')"
OLD = "import sys; value = sys.stdin.read().strip(); "
NEW = "import pathlib; value = pathlib.Path('/run/secrets/{name}').read_text().strip(); "
# Redis has just been restarted.
TRIES = 30


def main() -> int:
    rotations = {"redis": redis, "postgres": postgres}
    name = (sys.argv[1:] or [""])[0]
    if name not in rotations:
        sys.stderr.write(
            f"compose-rotate: which secret? SECRET=redis or SECRET=postgres, not {name or 'nothing'}; "
            "the others are in docs/runbooks/secrets.md\n"
        )
        return 2
    return upgrade.run_command("compose-rotate", rotations[name])


def redis(engine: Engine) -> None:
    """Rotate both passwords of Redis. It restarts twice, since it reads its list of users at its start."""
    directory = _directory(engine)
    old = {name: _read(directory / name) for name in ("TIDEWIRE_REDIS_URL", "redis.acl", "redis_exporter.json")}
    password, exporter = secrets.token_urlsafe(PASSWORD_BYTES), secrets.token_urlsafe(PASSWORD_BYTES)
    files = make_secrets.redis_files(password, exporter)
    _write(directory, {**files, "redis.acl": both(old["redis.acl"], files["redis.acl"])})
    say("Redis accepts the old passwords and the new ones")
    engine.compose("restart", "redis")
    try:
        _replace(engine)
        engine.compose("up", "--detach", "--no-recreate", "redis-exporter")
        engine.compose("restart", "redis-exporter")
    except BaseException:
        say("the old password stays in use")
        _write(directory, old)
        raise
    _write(directory, {"redis.acl": files["redis.acl"]})
    engine.compose("restart", "redis")
    _prove(engine, "TIDEWIRE_REDIS_URL", READ_REDIS, old["TIDEWIRE_REDIS_URL"])


def both(old: str, new: str) -> str:
    """Return the new list of users, in which each also has its old passwords."""
    passwords = {}
    for line in old.splitlines():
        words = line.split()
        passwords[words[1]] = [word for word in words if word.startswith("#")]
    lines = []
    for line in new.splitlines():
        words = line.split()
        at = next((i for i, word in enumerate(words) if word.startswith("#")), None)
        if at is not None:
            words[at:at] = [each for each in passwords.get(words[1], []) if each not in words]
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def postgres(engine: Engine) -> None:
    """Rotate the password of the site's role. PostgreSQL has one for each role, so another role serves meanwhile."""
    directory = _directory(engine)
    old_url = _read(directory / "TIDEWIRE_DATABASE_URL")
    if not old_url.startswith("postgres://tidewire:") or "@postgres:" not in old_url:
        raise Stop(
            "TIDEWIRE_DATABASE_URL names no role `tidewire` of this project's PostgreSQL: rotate it at its server"
        )
    running = engine.containers("postgres")
    if not running:
        raise Stop("postgres does not run here; `make compose-up` starts everything")
    passing, password = secrets.token_urlsafe(PASSWORD_BYTES), secrets.token_urlsafe(PASSWORD_BYTES)
    sql(
        engine,
        running[0],
        "postgres",
        f"drop role if exists {PASSING}",
        f"create role {PASSING} login password '{passing}' in role tidewire",
        # Objects that this role makes belong to the site's role.
        f"alter role {PASSING} set role tidewire",
    )
    try:
        _write(directory, {"TIDEWIRE_DATABASE_URL": old_url.replace(_user(old_url), f"{PASSING}:{passing}")})
        _replace(engine)
    except BaseException:
        say("the old password stays in use")
        _write(directory, {"TIDEWIRE_DATABASE_URL": old_url})
        raise
    sql(engine, running[0], "postgres", f"alter role tidewire password '{password}'")
    new_url = old_url.replace(_user(old_url), f"tidewire:{password}")
    _write(directory, {"TIDEWIRE_DATABASE_URL": new_url, "postgres_password": password})
    say("the role has its new password; the processes take it up")
    _replace(engine)
    sql(engine, running[0], "postgres", f"drop role {PASSING}")
    _prove(engine, "TIDEWIRE_DATABASE_URL", READ_POSTGRES, old_url)


def _replace(engine: Engine) -> None:
    images = upgrade.running_images(engine)
    upgrade.replace(engine, images, images)


def _prove(engine: Engine, name: str, read: str, old: str) -> None:
    """Raise `Stop` unless every process has the new file, the new value is accepted and the old one refused."""
    directory = _directory(engine)
    containers = engine.containers(*SERVICES)
    expected = hashlib.sha256((directory / name).read_bytes()).hexdigest()
    for container in containers:
        if engine.read(container, "sha256sum", f"/run/secrets/{name}").split()[0] != expected:
            raise Stop(f"{container.name} has another {name} than {directory}: run this again")
    web = next(each for each in containers if each.service == "web")
    for attempt in range(TRIES):
        try:
            engine.read(web, "python", "-c", NEW.format(name=name) + read)
            break
        except EngineError:
            if attempt == TRIES - 1:
                raise Stop(f"the new {name} is refused; the log of its server says why") from None
            engine.sleep(1)
    try:
        engine.feed(web, old, "python", "-c", OLD + read)
    except EngineError:
        say(f"proved: {len(containers)} containers have the new value, it is accepted, and the old one is refused")
        return
    raise Stop(f"the old {name} is still accepted: run this again")


def _directory(engine: Engine) -> Path:
    return Path(engine.environment.get("TIDEWIRE_SECRETS") or make_secrets.DIRECTORY)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Stop(f"{path} cannot be read ({error.strerror}); `make secrets` writes the missing ones") from None


def _write(directory: Path, files: dict[str, str]) -> None:
    """Write into the same files, since containers that run have these mounted."""
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")


def _user(url: str) -> str:
    return url.partition("://")[2].partition("@")[0]


if __name__ == "__main__":
    sys.exit(main())
