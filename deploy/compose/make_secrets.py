"""`make secrets`: the files that compose gives to containers, made once and never overwritten.

Nothing here is printed. var/ is in no repository and in no image.
"""
# ruff: noqa: INP001 - deploy/ is no package; `python -m deploy.compose.make_secrets` finds it from the root

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[2] / "var" / "secrets"
ACL = Path(__file__).with_name("redis.acl")


def main(directory: Path = DIRECTORY) -> None:
    """Write what is missing. All or nothing per pair: a password and who names it must agree."""
    directory.mkdir(parents=True, exist_ok=True)
    # The directory keeps others of this host out. The files inside have to be readable by the containers' users,
    # because compose mounts them as they are.
    directory.chmod(0o700)
    made = [
        *_write(directory, {"TIDEWIRE_SECRET_KEY": secrets.token_urlsafe(50)}),
        *_write(directory, _postgres(secrets.token_urlsafe(24))),
        *_write(directory, {"postgres_exporter_password": secrets.token_urlsafe(24)}),
        *_write(directory, _redis(secrets.token_urlsafe(24), secrets.token_urlsafe(24))),
        # Of the cluster's Sentinels alone: what an application asks them with, and what they and replicas use.
        *_write(directory, {"TIDEWIRE_REDIS_SENTINEL_PASSWORD": secrets.token_urlsafe(24)}),
        *_write(directory, {"redis_replication_password": secrets.token_urlsafe(24)}),
        *_write(directory, {"grafana_password": secrets.token_urlsafe(24)}),
        *_write(directory, {"loadtest_password": secrets.token_urlsafe(24)}),
    ]
    sys.stdout.write(f"secrets: made {', '.join(made)} in {directory}\n" if made else "secrets: all there\n")


def _postgres(password: str) -> dict[str, str]:
    return {
        "postgres_password": password,
        "TIDEWIRE_DATABASE_URL": f"postgres://tidewire:{password}@postgres:5432/tidewire",
    }


def _redis(password: str, exporter: str) -> dict[str, str]:
    # Redis gets only the hashes, so its file is of no use to whoever reads it.
    rules = [line for line in ACL.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    hashed = "\n".join(rules).replace("PASSWORD_SHA256", _hash(password)).replace("EXPORTER_SHA256", _hash(exporter))
    return {
        "redis.acl": f"{hashed}\n",
        "TIDEWIRE_REDIS_URL": f"redis://tidewire:{password}@redis:6379/0",
        "redis_exporter.json": json.dumps({"redis://exporter@redis:6379": exporter}),
    }


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _write(directory: Path, files: dict[str, str]) -> list[str]:
    """Write the files of one secret, unless all are there; a half of it would not match the other."""
    if all((directory / name).is_file() for name in files):
        return []
    if any((directory / name).is_file() for name in files):
        raise SystemExit(f"secrets: only some of {', '.join(files)} are in {directory}; remove them or bring them back")
    for name, text in files.items():
        path = directory / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
    return list(files)


if __name__ == "__main__":
    main()
