"""`make generate`: the templates of `tidewire init`, of this repository's own files and of those in deploy/kit/own.

changes.toml names the files and their differences. The templates are in no repository, because they repeat the files;
the wheel and the sdist have them.
"""
# ruff: noqa: INP001 - deploy/ is no package; found from the root

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from deploy.kit import derived

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "deploy" / "kit" / "own"
TEMPLATES = ROOT / "src" / "tidewire" / "kit" / "templates"
# The delimiters in copier.yml. No file here may have them for another purpose.
DELIMITERS = ("[[", "]]", "[%", "%]", "[#", "#]")
# A text that no other project gets, unless the change names an answer: the documents dashboard's.
PRODUCT = "product"


class KitError(Exception):
    """A file here and changes.toml do not fit; the message names both."""


def write(directory: Path = TEMPLATES) -> None:
    """Write the templates into a directory, which is emptied first."""
    shutil.rmtree(directory, ignore_errors=True)
    made_of = {f"project/{name}.jinja": source for name, source in sources().items()}
    for name, text in templates().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if name in made_of:
            # nginx's image runs only those scripts that may be run.
            path.chmod((ROOT / made_of[name]).stat().st_mode)


def templates() -> dict[str, str]:
    """Return the text of each template by its path."""
    files = {target(file): _template(file) for file in _changes()["file"]}
    files |= derived.files(files)
    for path in sorted(OWN.rglob("*.jinja")):
        files[path.relative_to(OWN).as_posix().removesuffix(".jinja")] = path.read_text(encoding="utf-8")
    questions = (OWN / "copier.yml").read_text(encoding="utf-8")
    # With the suffix, no installer compiles a template as a module, and no editor reads it as one.
    return {f"project/{name}.jinja": text for name, text in files.items()} | {"copier.yml": questions + _excluded()}


def sources() -> dict[str, str]:
    """Return the path of the file here that a template is made of, by the path in a project."""
    return {target(file): file["source"] for file in _changes()["file"]}


def target(file: Mapping[str, Any]) -> str:
    return str(file.get("target", file["source"]))


def changed(text: str, change: Mapping[str, Any], source: str) -> str:
    """Return the text with both forms of a change; the answers of a project choose one."""
    old = _extent(text, change, source)
    other = f"[% else %]{change['new']}" if change["new"] else ""
    return text.replace(old, f"[% if {change.get('only', PRODUCT)} %]{old}{other}[% endif %]")


def _changes() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("changes.toml").read_text(encoding="utf-8"))


def _template(file: Mapping[str, Any]) -> str:
    source = str(file["source"])
    text = (ROOT / source).read_text(encoding="utf-8")
    if found := [each for each in DELIMITERS if each in text]:
        raise KitError(f"{source} has {found[0]}, which templates read as their own: write it another way")
    for change in file.get("change", ()):
        text = changed(text, change, source)
    for each in _changes()["name"]:
        if any(fnmatch(source, pattern) for pattern in each["files"]):
            text = text.replace(str(each["old"]), str(each["new"]))
    return text


def _extent(text: str, change: Mapping[str, Any], source: str) -> str:
    """Return the text that a change replaces."""
    old = str(change["old"])
    start = text.find(old)
    if start < 0:
        raise KitError(f"{source} no longer has this text, which deploy/kit/changes.toml replaces: {old.strip()!r}")
    if "until" not in change:
        return old
    end = text.find(change["until"], start + len(old)) if change["until"] else len(text)
    if end < 0:
        raise KitError(f"{source} has no {change['until'].strip()!r} after {old.strip()!r} (deploy/kit/changes.toml)")
    return text[start:end]


def _excluded() -> str:
    """Return copier's list of the files that a project does not get."""
    only = {target(file): file["only"] for file in _changes()["file"] if "only" in file} | derived.ONLY
    lines = [f'  - "[% if not {answer} %]/{name}[% endif %]"\n' for name, answer in only.items()]
    return "\n_exclude:\n" + "".join(lines)


if __name__ == "__main__":
    write()
