"""The commands and queries of docs/runbooks, for tests of their names and for tests that run them in an incident.

A command block opens with ```sh check (it changes nothing, and must end within seconds even while its service hangs) or
```sh act (it repairs). Queries are in backticks in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deploy.local.layout import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
BLOCK = re.compile(r"^```sh (check|act)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```(.*)\n(?:.*\n)*?```$", re.MULTILINE)
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
# A metric with a selector or a function, a recorded value, or a metric alone.
QUERY = re.compile(
    r"\b(tidewire|process|redis|nginx|node|probe|instance:|topic:|job:)\w*[{:(\[]"
    r"|\b(sum|max|min|rate|increase|count|changes)\b.*\("
    r"|^(up|(tidewire|process|redis|nginx|pg_(?=up|stat|settings)|node|probe)_?\w+)(\{.*\})?( / .+)?$"
)


@dataclass(frozen=True)
class Command:
    """A block of shell commands. `section` is the heading above it, often an alert; "" is the top of the page."""

    page: str
    section: str
    kind: Literal["check", "act"]
    text: str

    def __str__(self) -> str:
        return f"{self.page} {self.section or 'top'} {self.kind}: {self.text.splitlines()[0][:60]}"


def commands() -> list[Command]:
    """Return all command blocks, page by page in their order."""
    return [
        Command(path.name, section, kind, text)  # type: ignore[arg-type]
        for path in sorted(RUNBOOKS.glob("*.md"))
        for section, part in _sections(path)
        for kind, text in BLOCK.findall(part)
    ]


def queries() -> list[tuple[str, str]]:
    """Return (page, PromQL) of all queries in the text."""
    return [
        (path.name, query)
        for path in sorted(RUNBOOKS.glob("*.md"))
        for span in SPAN.findall(FENCE.sub("", path.read_text(encoding="utf-8")))
        if QUERY.search(query := " ".join(span.split()))
    ]


def _sections(path: Path) -> list[tuple[str, str]]:
    top, *rest = SECTION.split(path.read_text(encoding="utf-8"))
    return [("", top), *zip(rest[::2], rest[1::2], strict=True)]
