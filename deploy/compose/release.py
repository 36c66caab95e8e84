"""Releases of the two images: built and tagged by version, the running one and the one before it.

Each image has the tag of its version. `tidewire-web:dev` (TIDEWIRE_VERSION) always is the running version, which plain
`docker compose` commands use, and `tidewire-web:dev-previous` is the version before.
"""
# ruff: noqa: INP001, S603, S607 - deploy/ is no package; this module starts git

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from deploy.compose.engine import BUILD_SECONDS, ROOT, Engine, EngineError, Stop

# The service that builds each image.
IMAGES = {"web": "tidewire-web", "ws": "tidewire-ws"}
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,100}")
PREVIOUS = "-previous"


def running_tag(environment: Mapping[str, str]) -> str:
    return environment.get("TIDEWIRE_VERSION") or "dev"


def tree_version(environment: Mapping[str, str] = os.environ, root: Path = ROOT, now: datetime | None = None) -> str:
    """Return VERSION, or the version of this tree: 0.1.0-1a2b3c4, with the time if files differ from the commit."""
    if named := environment.get("VERSION"):
        if not TAG.fullmatch(named):
            raise Stop(f"VERSION={named} cannot be the tag of an image: letters, digits, and _ . - may be in it")
        if named == running_tag(environment) or named.endswith(PREVIOUS):
            raise Stop(f"VERSION={named} is the tag of whatever runs; a version has a name of its own, like 1.2.0")
        return named
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    commit = _git(root, "rev-parse", "--short", "HEAD")
    changed = not commit or _git(root, "status", "--porcelain", "--untracked-files=no")
    stamp = f"{now or datetime.now(UTC):%Y%m%dT%H%M%S}"
    return "-".join(filter(None, [project, commit, stamp if changed else ""]))


def build(engine: Engine, version: str) -> None:
    """Build both images and tag them by the version, or use images that have this tag already and are named by it."""
    named = engine.environment.get("VERSION")
    if named and all(engine.image(f"{name}:{version}") for name in IMAGES.values()):
        say(f"using the images with the tag {version}")
        return
    say(f"building version {version}")
    revision = _git(ROOT, "rev-parse", "HEAD") or "unknown"
    engine.compose(
        "build",
        *IMAGES,
        timeout_seconds=BUILD_SECONDS,
        TIDEWIRE_VERSION=version,
        TIDEWIRE_REVISION=revision,
    )


def point(engine: Engine, *, to: Mapping[str, str], tag: str) -> None:
    """Give the images (service -> id or name) the tag."""
    for service, name in IMAGES.items():
        engine.docker("tag", to[service], f"{name}:{tag}")


def tagged(engine: Engine, tag: str) -> dict[str, str]:
    """Return service -> image id for a tag. Raises `Stop` if an image is missing."""
    found = {service: engine.image(f"{name}:{tag}") for service, name in IMAGES.items()}
    missing = [f"{IMAGES[service]}:{tag}" for service, image in found.items() if not image]
    if missing:
        raise Stop(f"there is no image {' and no '.join(missing)}")
    return {service: image for service, image in found.items() if image}


def say(words: str, stream: TextIO | None = None) -> None:
    """Print a line. A terminal that was closed must not interrupt the way back."""
    with contextlib.suppress(OSError):
        print(words, file=stream or sys.stdout, flush=True)


def _git(root: Path, *command: str) -> str:
    try:
        done = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def start(engine: Engine) -> None:
    """Build this tree's images and give them the running tag; another version that had it becomes the one before."""
    version, tag = tree_version(engine.environment), running_tag(engine.environment)
    build(engine, version)
    after = tagged(engine, version)
    with contextlib.suppress(Stop):
        before = tagged(engine, tag)
        if before != after:
            point(engine, to=before, tag=tag + PREVIOUS)
    point(engine, to=after, tag=tag)
    # Of the containers of an interrupted replacement none is left.
    engine.record.end()


def main() -> int:
    """Build the images for a start of the whole site."""
    engine = Engine()
    try:
        start(engine)
    except (Stop, EngineError) as error:
        sys.stderr.write(f"compose-up: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
