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

from deploy.compose import env_file
from deploy.compose import files as contents

ROOT = Path(__file__).resolve().parents[2]
# The directory that compose.yaml mounts files of.
DIRECTORY = ROOT / (env_file.environment().get("TIDEWIRE_SECRETS") or "var/secrets")
# Directories that images copy and containers mount.
FOLDERS = ("src", "services", "deploy", "loadtest", "testkit")
ACL = Path(__file__).with_name("redis.acl")


def main(directory: Path = DIRECTORY) -> None:
    """Write missing files. The files of a pair must agree, so a pair is written as a whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    # The directory's mode keeps other users of this host out. The files inside must be readable by the containers'
    # users, because compose mounts them as they are.
    directory.chmod(0o700)
    written = [
        *_write(directory, {"TIDEWIRE_SECRET_KEY": secrets.token_urlsafe(50)}),
        *_write(directory, _postgres(secrets.token_urlsafe(24))),
        *_write(directory, {"postgres_exporter_password": secrets.token_urlsafe(24)}),
        *_write(directory, redis_files(secrets.token_urlsafe(24), secrets.token_urlsafe(24))),
        # Only for the cluster's Sentinels: the password for applications, and the one for Sentinels and replicas.
        *_write(directory, {"TIDEWIRE_REDIS_SENTINEL_PASSWORD": secrets.token_urlsafe(24)}),
        *_write(directory, {"redis_replication_password": secrets.token_urlsafe(24)}),
        *_write(directory, {"grafana_password": secrets.token_urlsafe(24)}),
        *_write(directory, {"loadtest_password": secrets.token_urlsafe(24)}),
    ]
    sys.stdout.write(f"secrets: made {', '.join(written)} in {directory}\n" if written else "secrets: all there\n")


def unreadable(root: Path) -> Path | None:
    """Return a file or directory that the users of containers could not read: they keep its mode."""
    for path in (path for folder in FOLDERS for path in (root / folder, *(root / folder).rglob("*"))):
        needed = 0o005 if path.is_dir() else 0o004
        if path.exists() and "__pycache__" not in path.parts and path.stat().st_mode & needed != needed:
            return path.relative_to(root)
    return None


def _postgres(password: str) -> dict[str, str]:
    return {
        "postgres_password": password,
        "TIDEWIRE_DATABASE_URL": f"postgres://tidewire:{password}@postgres:5432/tidewire",
    }


def redis_files(password: str, exporter: str) -> dict[str, str]:
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
        try:
            # On a full disk no empty file must be left, which would count as a secret.
            contents.replace(path, text)
        except OSError as error:
            raise SystemExit(f"secrets: {path} cannot be written: {error.strerror}") from None
        path.chmod(0o644)
    return list(files)


if __name__ == "__main__":
    if path := unreadable(ROOT):
        sys.exit(
            f"secrets: {path} is not readable by others, as after a clone with umask 077, but users of containers "
            f"must read it: chmod -R go+rX {' '.join(FOLDERS)}"
        )
    main()
