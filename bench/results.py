"""The results of a run: records in a JSON file, written after every step so that an interrupted run keeps them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from bench.paths import VAR

Record = dict[str, Any]
LAST = VAR / "last.json"


class Results:
    """A file in var/bench, named after its start time; `last.json` is the newest."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.about = about
        self.records: list[Record] = []
        self.skipped: dict[str, str] = {}
        self.path = VAR / f"results-{time.strftime('%Y%m%d-%H%M%S')}.json"

    def add(self, records: list[Record]) -> None:
        self.records += records
        self.write()

    def write(self) -> None:
        text = json.dumps(self.as_dict(), indent=1)
        for path in (self.path, LAST):
            path.write_text(text + "\n", encoding="utf-8")

    def as_dict(self) -> dict[str, Any]:
        return {"about": self.about, "skipped": self.skipped, "records": self.records}


def read(path: Path = LAST) -> dict[str, Any]:
    """Return the results of a run."""
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return results
