"""The directories of reports. Each test has its own, even if two begin in the same second."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

# Beside the other files that programs of this repository write.
RESULTS = Path("var", "loadtest")


def own_directory(results: Path, name: str = "") -> Path:
    """Create and return a directory of this name, or of the present time. If there is one, the name gets a number."""
    name = name or time.strftime("%Y-%m-%d-%H%M%S")
    numbers = itertools.count(2)
    directory = results / name
    while True:
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            directory = results / f"{name}_{next(numbers)}"
        else:
            return directory


def directories(result: str) -> Iterator[Path]:
    """Yield a directory for each test of a process: the given one and then others beside it, or new ones."""
    if result:
        yield Path(result)
    while True:
        yield own_directory(Path(result).parent, Path(result).name) if result else own_directory(RESULTS)
