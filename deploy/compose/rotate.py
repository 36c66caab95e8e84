"""`make compose-rotate SECRET=...`: other passwords of Redis or PostgreSQL, and proof that they are in use.

While processes with the old value and with the new one run side by side, the server accepts both. Each process is
replaced by a surge (deploy.compose.surge); then the old value ends.
"""
# ruff: noqa: INP001 - deploy/ is no package; `python -m deploy.compose.rotate` finds it from the root

from __future__ import annotations

import hashlib
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.compose import files, make_secrets, signals, upgrade
from deploy.compose.backup import sql
from deploy.compose.engine import Container, Engine, EngineError, Stop
from deploy.compose.release import say
from deploy.compose.surge import SERVICES, Surge

# A login with the rights of the site's role, for the time between its two passwords.
PASSING = "tidewire_rotation"
ROLE = "tidewire"
# The role's next password, from before it is set until it is in its file.
NEXT = "postgres_password.next"
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
    old = {name: _read(directory / name) for name in ("redis.acl", "TIDEWIRE_REDIS_URL", "redis_exporter.json")}
    password, exporter = secrets.token_urlsafe(PASSWORD_BYTES), secrets.token_urlsafe(PASSWORD_BYTES)
    new = make_secrets.redis_files(password, exporter)
    with _kept(directory, old) as surge:
        _write(directory, {**new, "redis.acl": both(old["redis.acl"], new["redis.acl"])})
        say("Redis accepts the old passwords and the new ones")
        engine.compose("restart", "redis")
        _replace(engine, surge(engine))
    engine.compose("up", "--detach", "--no-recreate", "redis-exporter")
    engine.compose("restart", "redis-exporter")
    _write(directory, {"redis.acl": new["redis.acl"]})
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
    role = old_url.removeprefix("postgres://").partition(":")[0]
    # An interrupted rotation has left a role that still serves.
    if not (role == ROLE or role.startswith(PASSING)) or "@postgres:" not in old_url:
        raise Stop(
            "TIDEWIRE_DATABASE_URL names no role `tidewire` of this project's PostgreSQL: rotate it at its server"
        )
    running = engine.containers("postgres")
    if not running:
        raise Stop("postgres does not run here; `make compose-up` starts everything")
    _finish_interrupted(engine)
    # Of its own name: processes may serve with the role of an interrupted rotation until they are replaced.
    passing, password = f"{PASSING}_{secrets.token_hex(4)}", secrets.token_urlsafe(PASSWORD_BYTES)
    sql(
        engine,
        running[0],
        "postgres",
        f"create role {passing} login password '{password}' in role {ROLE}",
        # Objects that this role makes belong to the site's role.
        f"alter role {passing} set role {ROLE}",
    )
    with _kept(directory, {"TIDEWIRE_DATABASE_URL": old_url}) as surge:
        _write(directory, {"TIDEWIRE_DATABASE_URL": old_url.replace(_user(old_url), f"{passing}:{password}")})
        _replace(engine, surge(engine))
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    new_url = old_url.replace(_user(old_url), f"{ROLE}:{password}")
    # Where an interrupted rotation finds it: the role's password must not be one that no file has.
    files.replace(directory / NEXT, password)
    with signals.held():
        sql(engine, running[0], "postgres", f"alter role {ROLE} password '{password}'")
        _write(directory, {"postgres_password": password, "TIDEWIRE_DATABASE_URL": new_url})
        (directory / NEXT).unlink()
    say("the role has its new password; the processes take it up")
    _replace(engine, Surge(engine, say))
    sql(engine, running[0], "postgres", *(f"drop role {each}" for each in _passing_roles(engine, running[0])))
    _prove(engine, "TIDEWIRE_DATABASE_URL", READ_POSTGRES, old_url)


def _passing_roles(engine: Engine, postgres: Container) -> list[str]:
    roles = sql(engine, postgres, "postgres", "select rolname from pg_roles").split()
    return [each for each in roles if each.startswith(PASSING)]


def _finish_interrupted(engine: Engine) -> None:
    """Write the role's password to its file, if a rotation was interrupted between the two."""
    directory = _directory(engine)
    try:
        password = (directory / NEXT).read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    web = next(iter(engine.containers("web")), None)
    if web is None:
        raise Stop("web does not run here; `make compose-up` starts everything")
    url = _read(directory / "TIDEWIRE_DATABASE_URL")
    try:
        engine.feed(web, url.replace(_user(url), f"{ROLE}:{password}"), "python", "-c", OLD + READ_POSTGRES)
    except EngineError:
        say("an interrupted rotation had not changed the role's password yet")
    else:
        _write(directory, {"postgres_password": password})
        say("the password of an interrupted rotation is in its file now")
    (directory / NEXT).unlink()


@contextmanager
def _kept(directory: Path, old: dict[str, str]) -> Iterator[Callable[[Engine], Surge]]:
    """Write the old values back if anything fails before the new processes serve, which have the new values."""
    surges: list[Surge] = []

    def surge(engine: Engine) -> Surge:
        surges.append(Surge(engine, say))
        return surges[-1]

    try:
        yield surge
    except BaseException:
        if surges and surges[-1].started:
            say("the processes have the new password, and the server accepts the old one too: run this again")
        else:
            with signals.held():
                say("the old password stays in use")
                _write(directory, old)
        raise


def _replace(engine: Engine, surge: Surge) -> None:
    images = upgrade.running_images(engine)
    upgrade.replace(engine, images, images, surge=surge)


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


def _write(directory: Path, values: dict[str, str]) -> None:
    """Write into the same files, since containers that run have these mounted."""
    for name, text in values.items():
        try:
            files.overwrite(directory / name, text)
        except OSError as error:
            raise Stop(f"{directory / name} cannot be written: {error.strerror}") from None


def _user(url: str) -> str:
    return url.partition("://")[2].partition("@")[0]


if __name__ == "__main__":
    sys.exit(main())
