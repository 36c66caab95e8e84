"""Makes this machine ready for `make up`, `make test` or the tools.

Runs on the system's own Python, before .venv exists: standard library only.
"""

from __future__ import annotations

import sys

from deploy.local import programs, system, venv
from deploy.local.layout import ROOT

# For each target: its requirements, whether it runs Redis and nginx, what else it needs, and what it only makes use of.
TARGETS = {
    "up": ("local", True, (), ()),
    "test": ("dev", True, (), (system.PROMETHEUS, system.CHROMIUM)),
    "dev": ("dev", False, (), ()),
    "docs": ("docs", False, (), ()),
    "dist": ("dist", False, (), ()),
    "bench": ("bench", True, (system.COMPILER,), ()),
}


def main(target: str) -> int:
    requirements, runs_programs, required, useful = TARGETS[target]
    if not venv.PYTHON.exists():
        # Once the environment stands, nothing of the system's Python is needed any more.
        required = (system.VENV, *required)
    absent = system.missing((*required, *useful))
    if absent:
        system.install(absent, log=ROOT / "var" / "log" / "apt.log")
        absent = system.missing(absent)
    if absent:
        print(system.how_to_install(absent), file=sys.stderr)
        if system.missing(required):
            return 1
        print("The tests that need them are skipped.", file=sys.stderr)
    try:
        venv.ensure(requirements)
        if runs_programs:
            programs.ensure()
    except venv.VenvError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
