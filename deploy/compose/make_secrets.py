"""`make secrets`: creates the files of secrets for containers, once, and never overwrites them.

Nothing in them is printed. var/ is in no repository and in no image.
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
    """Write missing files. The files of a pair must agree, so a pair is written as a whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    # The directory's mode keeps other users of this host out. The files inside must be readable by the containers'
    # users, because compose mounts them as they are.
    directory.chmod(0o700)
    made = [
        *_write(directory, {"TIDEWIRE_SECRET_KEY": secrets.token_urlsafe(50)}),
        *_write(directory, _postgres(secrets.token_urlsafe(24))),
        *_write(directory, {"postgres_exporter_password": secrets.token_urlsafe(24)}),
        *_write(directory, _redis(secrets.token_urlsafe(24), secrets.token_urlsafe(24))),
        # Only for the cluster's Sentinels: the password for applications, and the one for Sentinels and replicas.
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
    # Redis receives only the hashes, so its file is useless to any other reader.
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
    """Write the files of a secret, unless all exist already; new files would not match an existing part."""
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
