"""A PostgreSQL of these tests' own: on a free port, without a sync unless asked, as a user that it agrees to run as."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from deploy.local.layout import LOOPBACK, free_port

ROLE = "tidewire"
# It refuses root.
USER = "postgres"


def why_not() -> str | None:
    """The reason that none can be started on this machine, if there is one."""
    if not (_program("initdb") and _program("pg_ctl")):
        return "there is no PostgreSQL on this machine"
    if os.geteuid() == 0 and USER not in {each.pw_name for each in pwd.getpwall()}:
        return f"PostgreSQL does not run as root, and there is no user {USER}"
    return None


class Postgres:
    """`with` makes an empty one and starts it; `stop` and `start` in between keep what it has."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._fsync = fsync
        self.port = free_port()
        # Below /tmp and not pytest's own directory, which another user may not enter; its socket's path must be short.
        self._directory = Path(tempfile.mkdtemp(prefix="tidewire-"))

    @property
    def url(self) -> str:
        return f"postgres://{ROLE}@{LOOPBACK}:{self.port}/postgres"

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            shutil.chown(self._directory, USER, USER)
        self._run("initdb", "-U", ROLE, "-A", "trust", "--no-sync")
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if (self._directory / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._directory)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -h {LOOPBACK} -k {self._directory}{'' if self._fsync else ' -F'}"
        self._run("pg_ctl", "-w", "-o", options, "start")

    def stop(self) -> None:
        """At once, as a machine that loses its power: the next start recovers."""
        self._run("pg_ctl", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        before = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
        command = [*before, _program(program) or program, "-D", str(self._directory / "data"), *arguments]
        # Not captured: the server would keep the pipe open, and reading it would never end.
        subprocess.run(
            command, check=True, cwd=self._directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60
        )


def _program(name: str) -> str | None:
    # Debian keeps them off the path, one directory for each version.
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(beside[-1]) if beside else None)
