"""A PostgreSQL server for tests, on a free port, with fsync off by default, run by a user that PostgreSQL accepts."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil

from deploy.local.layout import LOOPBACK, free_port

ROLE = "tidewire"
# PostgreSQL refuses to run as root.
USER = "postgres"


def why_not() -> str | None:
    """Return the reason if this machine cannot start PostgreSQL."""
    if not (_program("initdb") and _program("pg_ctl")):
        return "there is no PostgreSQL on this machine"
    if os.geteuid() == 0 and USER not in {each.pw_name for each in pwd.getpwall()}:
        return f"PostgreSQL does not run as root, and there is no user {USER}"
    return None


class Postgres:
    """`with` creates an empty cluster and starts it. `stop` and `start` keep its data."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._fsync = fsync
        self.port = free_port()
        # Under /tmp, because the server's user may have no access to pytest's directory, and a socket's path must be
        # short.
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
        """Start the server and wait until it accepts connections."""
        options = f"-p {self.port} -h {LOOPBACK} -k {self._directory}{'' if self._fsync else ' -F'}"
        self._run("pg_ctl", "-w", "-o", options, "start")

    def stop(self) -> None:
        """Stop immediately, as after a loss of power: the next start runs recovery."""
        self._run("pg_ctl", "-m", "immediate", "stop")

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the server hang: all of its processes are stopped, while the kernel still accepts connections for it."""
        pid_file = self._directory / "data" / "postmaster.pid"
        server = psutil.Process(int(pid_file.read_text(encoding="utf-8").split()[0]))
        server.suspend()
        members = [server, *server.children(recursive=True)]
        try:
            for each in members[1:]:
                each.suspend()
            yield
        finally:
            for each in members:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.resume()

    def _run(self, program: str, *arguments: str) -> None:
        before = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
        command = [*before, _program(program) or program, "-D", str(self._directory / "data"), *arguments]
        # Output is not captured: the server would inherit the pipe, and reading would never end.
        subprocess.run(
            command, check=True, cwd=self._directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60
        )


def _program(name: str) -> str | None:
    # Debian installs these programs outside PATH, in a directory for each version.
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(beside[-1]) if beside else None)
