"""The results of each fault as a row with targets, and the document of all rows."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deploy.local.layout import ROOT
from tests.faults.account import Account

HEAD = Path(__file__).with_name("faults.md")
DOCUMENT = ROOT / "docs" / "faults.md"
RESULTS = ROOT / "var" / "faults"
WRITTEN = (":!docs/faults.md", ":!docs/reliability.md", ":!docs/soak.svg")
COLUMNS = (
    "fault | sockets | events due | received | lost | duplicated | reordered | not recovered | ghosts (s) | flickers "
    "| close codes | connects/s | healed (s)"
)


@dataclass
class Target:
    """A target and its result. If there is a `reason`, the test does not fail for a missed target."""

    words: str
    met: bool
    measured: str
    reason: str = ""

    def __str__(self) -> str:
        because = f" Why: {self.reason}" if self.reason else ""
        return f"{'met' if self.met else '**not met**'}: {self.words} ({self.measured}).{because}"


@dataclass
class Row:
    """A fault. `ghosts` are members that stayed after they had left; the time is the longest that a ghost stayed."""

    fault: str
    order: int = 0
    sockets: int = 0
    per_second: float = 0.0
    account: Account = field(default_factory=Account)
    ghosts: int = 0
    ghost_seconds: float | None = None
    flickers: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    peak_connects: int = 0
    healed_seconds: float | None = None
    targets: list[Target] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    # True for a run with all other tests, which is smaller than that of `make test-faults`.
    small: bool = False
    when: str = ""
    commit: str = ""

    def cells(self) -> list[str]:
        account = self.account
        ghosts = f"{self.ghosts}" + (f" ({self.ghost_seconds:.1f})" if self.ghost_seconds is not None else "")
        numbers = (account.due, account.received, account.lost, account.duplicated, account.reordered)
        return [
            self.fault,
            f"{self.sockets:,}{' (small)' if self.small else ''}",
            *(f"{each:,}" for each in numbers),
            f"{account.not_recovered:,}",
            ghosts,
            str(self.flickers),
            ", ".join(f"{code} x {count:,}" for code, count in sorted(self.codes.items())) or "none",
            str(self.peak_connects),
            "" if self.healed_seconds is None else f"{self.healed_seconds:.1f}",
        ]

    def lines(self) -> list[str]:
        """Return the row as lines of text, for the end of its fault."""
        names = [name.strip() for name in COLUMNS.split("|")]
        joined = "; ".join(f"{name} {cell}" for name, cell in zip(names[1:], self.cells()[1:], strict=True) if cell)
        return [f"{self.fault}: {joined}", *(f"  {each}" for each in (*self.targets, *self.remarks))]

    def save(self, directory: Path = RESULTS) -> None:
        """Save the row for the document, so that a tier of a quarter of an hour may run fault by fault."""
        directory.mkdir(parents=True, exist_ok=True)
        name = "".join(letter if letter.isalnum() else "-" for letter in self.fault.lower())[:80]
        (directory / f"{self.order:02}-{name}.json").write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Row:
        fields: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        targets = [Target(**each) for each in fields.pop("targets")]
        return cls(**fields | {"targets": targets, "account": Account(**fields["account"])})


def document(rows: Iterable[Row], *, machine: str, command: str) -> str:
    """Return the page: the text of `faults.md` beside this module, with the table inserted."""
    rows = sorted(rows, key=lambda row: row.order)
    names = [name.strip() for name in COLUMNS.split("|")]
    table = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    table += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    targets = []
    for row in rows:
        rate = f", {row.per_second:g} events/s" if row.per_second else ""
        targets += [f"### {row.fault}", "", f"{row.when}, commit {row.commit}; {row.sockets:,} sockets{rate}.", ""]
        targets += [f"- {target}" for target in row.targets] + [f"- {remark}" for remark in row.remarks] + [""]
    head = HEAD.read_text(encoding="utf-8")
    measured = f"Machine: {machine}. Command: `{command}`.\nEach row has the time and commit of its run below."
    if any(row.small for row in rows):
        measured += "\nRows marked small have few sockets: they show that it works, not at which size."
    return head.format(measured=measured, table="\n".join(table), targets="\n".join(targets).rstrip())


def saved(directory: Path = RESULTS) -> list[Row]:
    return [Row.load(file) for file in sorted(directory.glob("*.json"))]


def machine() -> str:
    """Return a description of the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        "unknown processor",
    )
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {os.uname().sysname} {os.uname().release}"


def commit() -> str:
    """Return the current commit, marked as dirty if files differ, except for those that the runs write."""
    named = _git("describe", "--always", "--abbrev=9", "--exclude=*") or "unknown"
    return f"{named}-dirty" if _git("status", "--porcelain", "--untracked-files=no", "--", ".", *WRITTEN) else named


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=10)
    return done.stdout.strip()


def now() -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())


def unmet(targets: Sequence[Target]) -> list[str]:
    """Return the targets for which the test must fail."""
    return [str(target) for target in targets if not target.met and not target.reason]
