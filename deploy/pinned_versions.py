"""Checks that deploy/versions.toml lists all versions in use, and that all of them are still supported."""
# ruff: noqa: INP001 - deploy/ is no package; found from the root

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from deploy.local.layout import ROOT

LISTED = "deploy/versions.toml"
MANIFESTS = ("compose*.yaml", "examples/*/compose.yaml", "deploy/k8s/**/*.yaml")
DOCKERFILES = ("services/*/Dockerfile", "loadtest/Dockerfile", "examples/*/Dockerfile")
IMAGE = re.compile(r"(?<![\w-])image: [\"']?([^\s\"',}]+)")
BASE = re.compile(r"(?:^FROM (?:--\S+ )*|^ARG PREVIOUS=|\bfrom=)([^\s,]+)", re.MULTILINE)
# An earlier stage of the same Dockerfile.
STAGE = re.compile(r"^FROM .* AS (\S+)", re.MULTILINE)
# Images of services and in lists, without `image:`.
CI_IMAGE = re.compile(r"[ \"'\[]([a-z][\w./-]*:\w[\w.-]*)")
COMMENT = re.compile(r"(?:^|\s)#.*", re.MULTILINE)
# The version is in a comment after the commit; without a commit it is the tag.
ACTION = re.compile(r"uses: ([\w./-]+)@(?:\w+ # )?v?([\w.]+)")
RUNNER = re.compile(r"runs-on: ([a-z]+)-(\S+)")
CODENAME = re.compile(r"-(bookworm|trixie|forky)$")
CLASSIFIER = re.compile(r'"(?:Programming Language :: (Python)|Framework :: (Django)) :: (\d+\.\d+)"')
PINNED = re.compile(r"^([\w-]+)==(\d+(?:\.\d+)*)", re.MULTILINE)
GO_MODULE = re.compile(r"([\w./-]+)@v([\d.]+)")
MINOR = re.compile(r'"(1\.\d+)"')
# No images of others: those of this repository, variables, anchors of YAML, and an empty base.
OTHER = ("tidewire-", "$", "&", "*", "scratch")


def used(root: Path = ROOT) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the version and the file of each image, program and platform that the kit uses."""
    for file in sorted(path for pattern in MANIFESTS for path in root.glob(pattern)):
        yield from _images(IMAGE, file, root)
    for file in sorted(path for pattern in DOCKERFILES for path in root.glob(pattern)):
        yield from _images(BASE, file, root)
    for pattern in (IMAGE, CI_IMAGE):
        yield from _images(pattern, root / ".gitlab-ci.yml", root)
    for file in sorted(root.glob(".github/workflows/*.yml")):
        for name, version in (match for each in (ACTION, RUNNER) for match in each.findall(file.read_text("utf-8"))):
            yield name, version, str(file.relative_to(root))
    yield from _packages(root)
    for file in ("Makefile", "deploy/k8s/check/crds.py"):
        for name, version in GO_MODULE.findall(_read(root, file)):
            yield name, version, file
    [minors] = re.findall(r"^VERSIONS = (.*)$", _read(root, "deploy/k8s/check/schemas.py"), re.MULTILINE)
    for version in MINOR.findall(minors):
        yield "kubernetes", version, "deploy/k8s/check/schemas.py"


def _packages(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the versions that the library supports, the kit's own Django, and the programs in wheels."""
    for python, django, version in CLASSIFIER.findall(_read(root, "pyproject.toml")):
        yield (python or django).lower(), version, "pyproject.toml"
    for name, version in PINNED.findall(_read(root, "services/web/requirements.txt")):
        if name == "django":
            yield name, version, "services/web/requirements.txt"
    programs = {line.strip() for line in _read(root, "requirements/programs.in").splitlines()}
    for name, version in PINNED.findall(_read(root, "requirements/programs.txt")):
        if name in programs:
            yield name, version, "requirements/programs.txt"


def problems(root: Path = ROOT, today: dt.date | None = None) -> str:
    """Return a line for each version that is not listed, no longer supported, or listed but not used."""
    today = today or dt.datetime.now(tz=dt.UTC).date()
    listed = tomllib.loads(_read(root, LISTED))
    needed: set[tuple[str, str]] = set()
    lines = []
    for name, version, file in used(root):
        entry = next((each for each in listed.get(name, {}) if _is_of(version, each)), None)
        if entry is None:
            lines.append(f"{file}: {name} {version} is not in {LISTED}: add it with the date on which its support ends")
        else:
            needed.add((name, entry))
    for name, entries in listed.items():
        for version, entry in entries.items():
            lines.extend(_of_entry(f"{LISTED}: {name} {version}", entry, today))
            if (name, version) not in needed:
                lines.append(f"{LISTED}: {name} {version} is used nowhere: delete it")
    return "\n".join(dict.fromkeys(lines))


def _of_entry(name: str, entry: dict[str, object], today: dt.date) -> Iterator[str]:
    match entry:
        case {"ends": dt.datetime()} | {"review": dt.datetime()}:
            yield f"{name} needs a date without a time"
        case {"ends": dt.date() as ends, "source": str(), **more} if not more:
            if ends < today:
                yield f"{name} is not supported since {ends}: use a newer version"
        case {"review": dt.date() as review, "source": str() as source, **more} if not more:
            if review < today:
                yield f"{name} was to be reviewed by {review}: see {source}, then use a newer version or a later day"
        case _:
            yield f"{name} needs `source`, and either `ends` or `review` with a date"


def _is_of(version: str, prefix: str) -> bool:
    return re.match(rf"{re.escape(prefix)}(?![\d])", version) is not None


def _images(pattern: re.Pattern[str], file: Path, root: Path) -> Iterator[tuple[str, str, str]]:
    where = str(file.relative_to(root))
    text = COMMENT.sub("", file.read_text(encoding="utf-8"))
    stages = STAGE.findall(text)
    for reference in pattern.findall(text):
        name, _, tag = reference.partition("@")[0].rpartition(":")
        if not name or "/" in tag:
            name, tag = reference, "latest"
        if name not in stages and not name.startswith(OTHER):
            yield name, tag.removeprefix("v"), where
            if codename := CODENAME.search(tag):
                yield "debian", codename[1], where


def _read(root: Path, file: str) -> str:
    return (root / file).read_text(encoding="utf-8")
