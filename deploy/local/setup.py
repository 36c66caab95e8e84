"""Makes this machine ready for `make up`, `make test` or the tools.

Runs on the system's own Python, before .venv exists: standard library only.
"""

from __future__ import annotations

import sys

from deploy.local import system, venv
from deploy.local.layout import ROOT

# What each door cannot do without, and what it only can do more with.
DOORS = {
    "up": ("local", (system.VENV, system.REDIS, system.NGINX), ()),
    "test": ("dev", (system.VENV,), (system.REDIS, system.NGINX, system.PROMETHEUS, system.CHROMIUM)),
    "dev": ("dev", (system.VENV,), ()),
    "bench": ("bench", (system.VENV, system.REDIS, system.COMPILER), ()),
}


def main(door: str) -> int:
    requirements, required, useful = DOORS[door]
    if venv.PYTHON.exists():
        # The environment stands, whoever made it: nothing of the system's Python is needed any more.
        required = tuple(need for need in required if need is not system.VENV)
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
    except venv.VenvError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
