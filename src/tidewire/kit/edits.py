"""Changes of the owner's own files, of which each is shown before it is made."""

import difflib
import importlib.metadata
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tidewire.kit import variables

_INCLUDE = "include deploy/kit.mk\n"
_EXPLAINED = """\
# Variables that the project's own settings require, for all containers. deploy/settings.py reads them here if neither
# the environment nor a file of secrets has them. No secrets: those go to deploy/secrets/project.env, which no git has.
"""
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
# `pip freeze` on Windows lists these, which no image can install.
_OF_WINDOWS = {"pypiwin32", "pywin32", "pywinpty", "twisted-iocpsupport"}
_LINE = re.compile(r"^(?P<requirement>[^#]*?)(?P<comment>\s*(#.*)?)$")


class Edit(NamedTuple):
    """The whole text of a file as it should be, and the reason."""

    path: Path
    before: str
    after: str
    reason: str


def edits(directory: Path, settings: str, requirements: str) -> Iterator[Edit]:
    """Yield the changes that the owner's files need."""
    yield from _makefile(directory)
    yield from _variables(directory, variables.required(directory, settings))
    if requirements and (directory / requirements).is_file():
        yield from _requirements(directory / requirements)


def make(edit: Edit, directory: Path, *, is_agreed: Callable[[str], bool], show: Callable[[str], object]) -> bool:
    """Show an edit and make it if it is agreed."""
    name = edit.path.relative_to(directory).as_posix()
    before, after = _lines(edit.before), _lines(edit.after)
    show("".join(difflib.unified_diff(before, after, fromfile=name, tofile=name)))
    if not is_agreed(f"{edit.reason}. Change {name}?"):
        return False
    edit.path.write_text(edit.after, encoding="utf-8")
    return True


def _makefile(directory: Path) -> Iterator[Edit]:
    path = next((directory / name for name in _MAKEFILES if (directory / name).is_file()), directory / "Makefile")
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if _INCLUDE.strip() not in before:
        blank = "\n" if before and not before.endswith("\n") else ""
        yield Edit(path, before, f"{before}{blank}{_INCLUDE}", "The make targets are in deploy/kit.mk")


def _variables(directory: Path, required: dict[str, str]) -> Iterator[Edit]:
    path = directory / "deploy" / "project.env"
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    known = variables.read(path) if before else {}
    lines = [f"{name}={value}\n" for name, value in required.items() if name not in known]
    if lines:
        yield Edit(path, before, (before or _EXPLAINED) + "".join(lines), "The project's settings require these")


def _requirements(path: Path) -> Iterator[Edit]:
    before = _read(path)
    named, needed = _named(before), _needed()
    replaced = {name for name, theirs in named.items() if name in needed and not _agree(theirs, needed[name], name)}
    behind = _behind(replaced) - replaced
    after = "".join(_line(line, {name: needed[name] for name in replaced}, behind) for line in _lines(before))
    if after != before:
        yield Edit(path, before, after, "The image cannot install tidewire beside these versions, or not on Linux")


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _read(path: Path) -> str:
    """Return the text of a list of requirements; PowerShell writes UTF-16."""
    content = path.read_bytes()
    return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def _line(line: str, replaced: dict[str, SpecifierSet], behind: set[str]) -> str:
    """Return a line with the versions of a replaced package, or without the exact version of one that it requires."""
    found = _LINE.match(line.rstrip("\r\n"))
    requirement = _requirement(line)
    if requirement is None or found is None:
        return line
    name = canonicalize_name(requirement.name)
    end = line[len(line.rstrip("\r\n")) :]
    if name in _OF_WINDOWS and requirement.marker is None:
        return f'{found["requirement"].strip()} ; sys_platform == "win32"{found["comment"]}{end}'
    if name in replaced and not requirement.url:
        requirement.specifier = replaced[name]
        return f"{requirement}{found['comment']}{end}"
    # The installer chooses: the newest, or an older one that the project's other packages accept.
    return line.replace("==", ">=", 1) if name in behind else line


def _named(text: str) -> dict[str, SpecifierSet]:
    """Return the versions that a list of requirements accepts, by name."""
    every = [requirement for line in text.splitlines() if (requirement := _requirement(line))]
    return {canonicalize_name(each.name): each.specifier for each in every}


def _requirement(line: str) -> Requirement | None:
    """Return the requirement of a line, or None for an option, another file, or a blank line."""
    found = _LINE.match(line.rstrip("\r\n"))
    try:
        return Requirement(found["requirement"] if found else "")
    except InvalidRequirement:
        return None


def _agree(theirs: SpecifierSet, ours: SpecifierSet, name: str) -> bool:
    """Return whether a version can satisfy both: one that either of them names, or the installed one."""
    named = [each.version.removesuffix(".*") for each in (*theirs, *ours)]
    versions = [*named, *_installed(name)]
    return any(theirs.contains(version) and ours.contains(version) for version in versions) or not named


def _needed() -> dict[str, SpecifierSet]:
    """Return the versions that the server requires, by name."""
    needed: dict[str, SpecifierSet] = {}
    for requirement in _requires("tidewire", frozenset({"daphne"})):
        name = canonicalize_name(requirement.name)
        needed[name] = needed.get(name, SpecifierSet()) & requirement.specifier
    return needed


def _behind(names: set[str]) -> set[str]:
    """Return the packages that these require, as far as they are installed here."""
    found: set[str] = set()
    waiting = [(name, frozenset[str]()) for name in names]
    while waiting:
        for requirement in _requires(*waiting.pop()):
            name = canonicalize_name(requirement.name)
            if name not in found:
                found.add(name)
                waiting.append((name, frozenset(requirement.extras)))
    return found


def _requires(name: str, extras: frozenset[str]) -> list[Requirement]:
    try:
        every = [Requirement(text) for text in importlib.metadata.requires(name) or []]
    except importlib.metadata.PackageNotFoundError:
        return []
    return [
        each
        for each in every
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in (extras or {""}))
    ]


def _installed(name: str) -> list[str]:
    try:
        return [importlib.metadata.version(name)]
    except importlib.metadata.PackageNotFoundError:
        return []
