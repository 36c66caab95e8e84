"""`python -m deploy.prose`: the part of `make lint` on language, for documents, comments and docstrings.

Rates of some words show whether sentences name the thing and then the verb. The limits are the highest rates of
Starlette, websockets, structlog and Channels. codespell finds misspellings and the words of `words.txt`, for which the
field has a standard word. Vale could do both, but its Python package downloads the program when it first runs.
"""
# ruff: noqa: INP001 - deploy/ is no package; found from the root
# ruff: noqa: S603 - starting a linter is its purpose
# ruff: noqa: T201 - it prints a table

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from deploy.local.layout import ROOT
from deploy.prose.texts import CODE_NAMES, CODE_SUFFIXES, Text, texts_of

# Directories that must keep within the limits, each column by itself. The tools that measure are one column, because
# some of them have too few words for a rate.
CHECKED = {
    **{name: (name,) for name in ("src", "services", "docs")},
    "deploy": ("deploy", ".github", "requirements"),
    "measuring": ("loadtest", "bench", "capacity", "examples", "experiments", "testkit"),
    "tests": ("tests",),
}
# Documents outside docs/. The changelog is left out, because it uses the names of its time.
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
# Configuration outside deploy/.
CONFIGURATION = (".gitlab-ci.yml", "Makefile", "compose.dev.yaml", "compose.yaml", "noxfile.py", "pyproject.toml")
VOCABULARY = Path(__file__).with_name("words.txt")
WORD = re.compile(r"[^\W\d_][\w'-]*")
# Names that codespell takes for misspellings, in lower case.
NAMES = "aks,simpy"
TIMEOUT_SECONDS = 60

Prose = Mapping[Path, list[Text]]


class Row(NamedTuple):
    """A rate with its limit: matches per 1,000 words or, if a pattern matches the start of a text, per 100 texts."""

    name: str
    pattern: re.Pattern[str]
    limit: float
    is_minimum: bool = False
    per_text: bool = False

    def rate(self, prose: Prose) -> float:
        texts = [text.prose for several in prose.values() for text in several if text.prose.strip()]
        matches = sum(len(self.pattern.findall(text)) for text in texts)
        if self.per_text:
            return 100 * matches / max(len(texts), 1)
        return 1000 * matches / max(sum(len(WORD.findall(text)) for text in texts), 1)

    def is_met(self, prose: Prose) -> bool:
        return self.rate(prose) >= self.limit if self.is_minimum else self.rate(prose) <= self.limit


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


ROWS = (
    Row("who, whoever, whose", _words("who|whom|whoever|whose"), 0.30),
    Row("nobody, somebody, everybody", _words("(?:no|some|every|any)body"), 0),
    Row("told, tells, says, said", _words("told|tells?|says?|said"), 0.52),
    # A question may begin with `what`.
    Row('"what X does" as a noun', _words(r"what(?![^.:;]*\?)"), 0.21),
    Row("must, should, can, may", _words("must|should|can|cannot|may"), 8, is_minimum=True),
    Row(
        "comments with It, One, Who ... first, %", re.compile(r"\A\W*(?:It|One|Who|What|Nobody)\b"), 0.3, per_text=True
    ),
)


def main() -> int:
    prose_by_name = {name: read(name) for name in CHECKED}
    misspelt = misspellings({path: texts for prose in prose_by_name.values() for path, texts in prose.items()})
    print("\n".join(table(prose_by_name, misspelt)))
    faults = [fault for name in CHECKED for fault in beyond(name, prose_by_name[name])] + misspelt
    if faults:
        print("\n".join(faults))
        print("prose: name the thing, then the verb, with the field's word for it (deploy/prose/words.txt)")
    return int(bool(faults))


def read(name: str) -> Prose:
    """Return the prose of a column: documents in docs, comments and docstrings elsewhere."""
    suffixes = (".md",) if name == "docs" else CODE_SUFFIXES
    paths = [
        path
        for directory in CHECKED.get(name, (name,))
        for path in sorted((ROOT / directory).rglob("*"))
        if (path.suffix in suffixes or (path.name in CODE_NAMES and name != "docs")) and "migrations" not in path.parts
    ]
    others = {"docs": DOCUMENTS, "deploy": CONFIGURATION}.get(name, ())
    return {path.relative_to(ROOT): texts_of(path) for path in [*(ROOT / each for each in others), *paths]}


def beyond(name: str, prose: Prose) -> Iterator[str]:
    """Yield a line for each limit that a directory exceeds, and for each place that has a part in it."""
    for row in ROWS:
        if row.is_met(prose):
            continue
        yield f"{name}: {row.name}: {row.rate(prose):.2f}, {'at least' if row.is_minimum else 'at most'} {row.limit}"
        if not row.is_minimum:
            places = ((path, text) for path, texts in prose.items() for text in texts)
            yield from (f"  {path}:{text.line}" for path, text in places if row.pattern.search(text.prose))


def misspellings(prose: Prose) -> list[str]:
    """Return codespell's findings, each as `path:line: word ==> correction`."""
    with tempfile.TemporaryDirectory() as directory:
        for path, texts in prose.items():
            # Below another directory, because codespell reads the settings of a pyproject.toml in its own.
            copy = Path(directory, "texts", path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text("\n".join(_lines(texts)), "utf-8")
        options = ["--disable-colors", "--ignore-words-list", NAMES, "--dictionary", f"{VOCABULARY},-", "texts"]
        command = [sys.executable, "-m", "codespell_lib", *options]
        ran = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
        )
    if ran.returncode not in (0, 65):
        raise SystemExit(f"prose: codespell failed: {ran.stderr.strip()}")
    return [line.removeprefix("texts/") for line in ran.stdout.splitlines()]


def _lines(texts: list[Text]) -> list[str]:
    """Return the lines of a file with its prose only, so that findings have the right line numbers."""
    numbered_lines = [(text.line + index, line) for text in texts for index, line in enumerate(text.prose.splitlines())]
    lines = [""] * max((number for number, _ in numbered_lines), default=0)
    for number, line in numbered_lines:
        lines[number - 1] += f" {line}"
    return lines


def table(prose_by_name: Mapping[str, Prose], misspelt: Sequence[str]) -> Iterator[str]:
    """Yield the rates as lines of a table. A rate beyond its limit has a star."""
    yield f"{'prose, per 1,000 words':<40}{'limit':>8}" + "".join(f"{name:>10}" for name in prose_by_name)
    for row in ROWS:
        cells = [f"{row.rate(prose):.2f}{' ' if row.is_met(prose) else '*'}" for prose in prose_by_name.values()]
        yield f"{row.name:<40}{'>=' if row.is_minimum else '<='}{row.limit:>6}" + "".join(
            f"{cell:>10}" for cell in cells
        )
    columns = {directory: name for name, directories in CHECKED.items() for directory in directories}
    columns |= dict.fromkeys(CONFIGURATION, "deploy")
    counts = Counter(columns.get(re.split("[/:]", line)[0], "docs") for line in misspelt)
    yield f"{'words to replace, in all':<40}<={0:>6}" + "".join(f"{counts[name]:>9} " for name in prose_by_name)


if __name__ == "__main__":
    sys.exit(main())
