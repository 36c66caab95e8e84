"""The preparation of a run: the generator, the npm packages, and users with sessions."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys

from bench import load_clients
from bench.compared_servers import find
from bench.paths import DATABASE, HERE, NODE, ROOT, VAR
from bench.server_processes import BenchError

INSTALL_SECONDS = 600
USERS_SECONDS = 300


def prepare(users: int, *, node: bool) -> str:
    """Prepare a run, and return the secret that signed the sessions."""
    VAR.mkdir(parents=True, exist_ok=True)
    load_clients.build()
    if node:
        install_node_packages()
    return make_users(users)


def install_node_packages() -> None:
    """Install package.json's exact versions, unless they are installed already."""
    wanted = (HERE / "package.json").read_text(encoding="utf-8")
    stamp = NODE / ".installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    NODE.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "package.json", NODE / "package.json")
    print("installing npm packages into var/bench/node ...", flush=True)
    _run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"], NODE, INSTALL_SECONDS)
    stamp.write_text(wanted, encoding="utf-8")


def make_users(count: int) -> str:
    for ending in ("", "-wal", "-shm"):
        DATABASE.with_name(DATABASE.name + ending).unlink(missing_ok=True)
    secret = secrets.token_urlsafe(50)
    environment = find("tidewire").environment("redis://127.0.0.1:1/0", secret)
    _run([sys.executable, "-m", "bench.make_users", str(count)], ROOT, USERS_SECONDS, environment)
    return secret


def _run(command: list[str], directory: os.PathLike[str], seconds: int, more: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **(more or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    if done.returncode:
        raise BenchError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
