"""The settings in `.env` beside compose.yaml, which these commands must see as `docker compose` does."""
# ruff: noqa: INP001 - deploy/ is no package; `python -m deploy.compose.env_file` finds it from the root

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

PATH = Path(__file__).resolve().parents[2] / ".env"
# Those that the commands use themselves; all others are compose's alone.
NAMES = ("COMPOSE_PROJECT_NAME", "TIDEWIRE_VERSION", "TIDEWIRE_SECRETS", "TIDEWIRE_ALERTMANAGER")
LINE = re.compile(r"\s*(?:export\s+)?(\w+)\s*[=:]\s*(.*?)\s*")


def environment(path: Path | None = None, own: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the process's own variables, and those of the file that it does not have."""
    return {**settings(path or PATH), **own}


def settings(path: Path) -> dict[str, str]:
    """Return the file's values of `NAMES`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return {}
    found = {}
    for line in lines:
        if (match := LINE.fullmatch(line)) and match[1] in NAMES:
            found[match[1]] = _value(match[1], match[2])
    return found


def _value(name: str, text: str) -> str:
    quoted = re.fullmatch(r"(['\"])(.*?)\1(\s*#.*)?", text)
    value = quoted[2] if quoted else re.sub(r"(^|\s+)#.*", "", text)
    if re.search(r"[$\\\"']", value):
        raise SystemExit(f".env: {name} must be a plain value here, without $, quotes or backslashes: {text}")
    return value


def main() -> int:
    """Print a setting, or the default."""
    name, default = sys.argv[1:]
    sys.stdout.write(f"{environment().get(name) or default}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
