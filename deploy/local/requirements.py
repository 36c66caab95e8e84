"""`make requirements`: renews every pinned file from one resolution, so that web and ws never differ in a version."""

from __future__ import annotations

import subprocess
import sys

from deploy.local.layout import ROOT

# The widest first: it includes all inputs of the others, so its result can constrain theirs.
WIDEST = "requirements/dev"
OTHERS = (
    *("requirements/local", "requirements/bench", "requirements/docs", "requirements/dist", "requirements/programs"),
    *("services/web/requirements", "services/ws/requirements", "loadtest/requirements"),
)
COMPILE = (
    *("uv", "pip", "compile", "--quiet"),
    # For all versions from 3.11.0 on: below 3.11.3 redis needs a package that later Pythons do not.
    *("--universal", "--python-version", "3.11.0"),
    *("--generate-hashes", "--no-header", "--no-annotate"),
    # Independent of this machine: no mirror, and no directory of wheels.
    *("--no-config", "--no-emit-index-url", "--no-emit-find-links"),
)


def main() -> int:
    _compile(WIDEST, "--upgrade")
    for other in OTHERS:
        _compile(other, "--upgrade", "--constraints", f"{WIDEST}.txt")
    return 0


def _compile(name: str, *options: str) -> None:
    print(f"{name}.in -> {name}.txt", flush=True)
    command = [sys.executable, "-m", *COMPILE, *options, f"{name}.in", "--output-file", f"{name}.txt"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=600)


if __name__ == "__main__":
    sys.exit(main())
