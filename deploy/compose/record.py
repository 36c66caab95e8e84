"""The record of a replacement, which remains if the command is killed or the power fails before its end.

Then containers of two versions may run side by side, and neither their images nor their number tell which of them
served before.
"""
# ruff: noqa: INP001 - deploy/ is no package; found from the root

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.compose import files

DIRECTORY = Path(__file__).resolve().parents[2] / "var"
# That of compose.yaml.
PROJECT = "tidewire"


@dataclass(frozen=True)
class Interrupted:
    """`images` (service -> image id) served, in so many containers (service -> number)."""

    images: Mapping[str, str]
    numbers: Mapping[str, int]


def of_project(environment: Mapping[str, str]) -> Record:
    """Return the record of compose's project. Several may have been started from one directory."""
    return Record(DIRECTORY / f"{environment.get('COMPOSE_PROJECT_NAME') or PROJECT}.replacing.json")


@dataclass(frozen=True)
class Record:
    """The file of a record."""

    path: Path

    def read(self) -> Interrupted | None:
        """Return the record that an interrupted command has left; None: there is none, or it cannot be read."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            return Interrupted(dict(found["images"]), {name: int(each) for name, each in found["numbers"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, images: Mapping[str, str], numbers: Mapping[str, int]) -> None:
        files.replace(self.path, json.dumps({"images": dict(images), "numbers": dict(numbers)}))

    def end(self) -> None:
        """Record that the replacement has ended, in either direction."""
        self.path.unlink(missing_ok=True)
