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
from packaging.version import Version

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
    before, after = edit.before.splitlines(keepends=True), edit.after.splitlines(keepends=True)
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
    needed = _needed(_named(before))
    after = "".join(_line(line, needed) for line in before.splitlines(keepends=True))
    if after != before:
        yield Edit(path, before, after, "The image cannot install tidewire beside these versions, or not on Linux")


def _read(path: Path) -> str:
    """Return the text of a list of requirements; PowerShell writes UTF-16."""
    content = path.read_bytes()
    return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def _line(line: str, needed: dict[str, SpecifierSet]) -> str:
    found = _LINE.match(line.rstrip("\r\n"))
    requirement = _requirement(line)
    if requirement is None or found is None:
        return line
    name = canonicalize_name(requirement.name)
    end = line[len(line.rstrip("\r\n")) :]
    if name in _OF_WINDOWS and requirement.marker is None:
        return f'{found["requirement"].strip()} ; sys_platform == "win32"{found["comment"]}{end}'
    if name not in needed or requirement.url or _agree(requirement.specifier, needed[name], name):
        return line
    requirement.specifier = needed[name]
    return f"{requirement}{found['comment']}{end}"


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


def _needed(named: dict[str, SpecifierSet]) -> dict[str, SpecifierSet]:
    """Return the versions that the server requires, by name, and those that packages require which are replaced for it.

    A package that stays, or that the list does not name, is of a version that the installer finds.
    """
    needed: dict[str, SpecifierSet] = {}
    waiting: list[tuple[str, frozenset[str]]] = [("tidewire", frozenset({"daphne"}))]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        for text in _requires(name):
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in (extras or {""})):
                continue
            key = canonicalize_name(requirement.name)
            needed[key] = _lowest(needed.get(key, SpecifierSet()) & requirement.specifier)
            following = (key, frozenset(requirement.extras))
            if following not in seen and key in named and not _agree(named[key], needed[key], key):
                seen.add(following)
                waiting.append(following)
    return needed


def _lowest(specifiers: SpecifierSet) -> SpecifierSet:
    """Return the same versions with one lower bound."""
    bounds = sorted((each for each in specifiers if each.operator == ">="), key=lambda each: Version(each.version))
    others = [str(each) for each in specifiers if each.operator != ">="]
    return SpecifierSet(",".join([*others, *(str(each) for each in bounds[-1:])]))


def _requires(name: str) -> list[str]:
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _installed(name: str) -> list[str]:
    try:
        return [importlib.metadata.version(name)]
    except importlib.metadata.PackageNotFoundError:
        return []
