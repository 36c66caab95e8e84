"""Prepares this machine for `make up`, `make test` or the tools, and prints the origin of each part.

Runs on the system's own Python, before .venv exists: standard library only.
"""

from __future__ import annotations

import subprocess
import sys

from deploy.local import programs, system, venv
from deploy.local.layout import ROOT

# For each target: its requirements, whether it runs Redis and nginx, its other needs, and its optional ones.
TARGETS = {
    "up": ("local", True, (), ()),
    "test": ("dev", True, (), (system.PROMETHEUS, system.CHROMIUM, system.LIBATOMIC)),
    "dev": ("dev", False, (), ()),
    "docs": ("docs", False, (), ()),
    "dist": ("dist", False, (), ()),
    "bench": ("bench", True, (system.COMPILER,), ()),
}


def prepare(target: str) -> int:
    """Return the exit status; an error is one line with the remedy."""
    requirements, runs_programs, required, optional = TARGETS[target]
    if not venv.works():
        # Later steps need nothing of the system's Python.
        required = (system.VENV, *required)
    absent = system.missing((*required, *optional))
    if absent:
        _install(absent)
        absent = system.missing(absent)
    if lacking := [need for need in absent if need in required]:
        print(f"{_names(lacking)} missing. Install, then run make again: {system.command(lacking)}", file=sys.stderr)
        return 1
    try:
        venv.ensure(requirements)
        print(f"python: {venv.origin()}", flush=True)
        if runs_programs:
            programs.ensure()
    except (venv.VenvError, OSError, subprocess.TimeoutExpired) as error:
        print(system.not_ours(error) if isinstance(error, PermissionError) else error, file=sys.stderr)
        return 1
    for need in dict.fromkeys((system.PROMETHEUS, *optional) if runs_programs else ()):
        if path := system.find_program(*need.programs):
            print(f"{need.name}: {path}", flush=True)
    if absent:
        print(f"{_names(absent)} missing: tests that need it are skipped. To run them: {system.command(absent)}")
    return 0


def _install(needs: list[system.Need]) -> None:
    try:
        system.install(needs, log=ROOT / "var" / "log" / "apt.log")
    except (OSError, subprocess.SubprocessError) as error:
        print(f"apt-get could not be used: {error}", file=sys.stderr)


def _names(needs: list[system.Need]) -> str:
    return f"{', '.join(need.name for need in needs)} {'is' if len(needs) == 1 else 'are'}"
