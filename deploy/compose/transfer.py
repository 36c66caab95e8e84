"""Data between a file of this machine and a program in PostgreSQL's container, with its progress."""
# ruff: noqa: INP001, S603 - deploy/ is no package; this module starts docker

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from deploy.compose.engine import ROOT, Container, Engine, EngineError, Stop
from deploy.compose.release import say

CHUNK_BYTES = 1 << 20
EACH_SECONDS = 2.0
MEGABYTE = 1_000_000


def client(*words: str) -> str:
    """Return a shell command that runs a client of PostgreSQL as the site's role, in its container.

    Over TCP with the password: an image may allow everything on its socket, or nothing.
    """
    variables = "PGHOST=127.0.0.1 PGUSER=tidewire PGPASSWORD=$(cat /run/secrets/postgres_password)"
    return f"{variables} {' '.join(words)}"


def out_of(engine: Engine, container: Container, command: str, path: Path) -> None:
    """Write the output of a shell command in the container to a new file, which only this user can read."""
    path.unlink(missing_ok=True)
    try:
        path.touch(mode=0o600)
        with path.open("wb") as file, _started(engine, container, command, "") as process:
            assert process.stdout is not None
            for chunk in _shown(process.stdout, 0, "written"):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Stop(f"{path} cannot be written: {error.strerror}") from None


def into(engine: Engine, container: Container, command: str, path: Path, *, words: str = "restored") -> None:
    """Give a file to a shell command in the container. Raises `EngineError` if the command fails."""
    with path.open("rb") as file, _started(engine, container, command, "-i") as process:
        assert process.stdin is not None
        try:
            for chunk in _shown(file, path.stat().st_size, words):
                process.stdin.write(chunk)
            process.stdin.close()
        except BrokenPipeError:
            # The command has ended, and its error has the reason.
            pass


def megabytes(count: int) -> str:
    return f"{count / MEGABYTE:,.1f} MB"


class _started:  # noqa: N801 - a `with` of its own
    def __init__(self, engine: Engine, container: Container, command: str, options: str) -> None:
        self._command = ["docker", "exec", *([options] if options else []), container.id, "sh", "-c", command]
        self._environment = dict(engine.environment)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed below

    def __enter__(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE if "-i" in self._command else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if "-i" in self._command else subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        return self._process

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        if kind is not None:
            self._process.kill()
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()
        self._errors.close()
        if kind is None and code:
            raise EngineError(f"`{self._command[-1].rpartition(') ')[2][:80]}` failed ({code}): {said[-600:]}")


def _shown(source: IO[bytes], size: int, words: str) -> Iterator[bytes]:
    """Yield the source in chunks, and print the progress every two seconds."""
    passed, shown = 0, time.monotonic()
    while chunk := source.read(CHUNK_BYTES):
        yield chunk
        passed += len(chunk)
        if time.monotonic() - shown > EACH_SECONDS:
            share = f" of {megabytes(size)}, {passed / size:.0%}" if size else ""
            say(f"  {words} {megabytes(passed)}{share}")
            shown = time.monotonic()
