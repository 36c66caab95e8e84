"""`make compose-upgrade` and `make compose-rollback`: another version of web, ws and relay, without a failed page.

Migrations and static files first, then a surge (deploy.compose.surge). If the new containers do not become ready, they
end, and the old ones, which served all the time, go on.
"""
# ruff: noqa: INP001 - deploy/ is no package; `python -m deploy.compose.upgrade` finds it from the root

from __future__ import annotations

import fcntl
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.compose import front, jobs, neighbours, release
from deploy.compose.engine import ROOT, Engine, EngineError, Stop
from deploy.compose.release import IMAGES, PREVIOUS, running_tag, say, tagged
from deploy.compose.surge import Surge

LOCK = ROOT / "var" / "compose.lock"
# Number of versions kept beside the running one and the one before it.
KEPT = 5
VERSION = re.compile(r"\d+(\.\d+)+-[0-9a-f]{7,}(-\d{8}T\d{6})?")


def upgrade(engine: Engine) -> None:
    """Build this tree's version, or use VERSION, and replace the running version by it."""
    before = running_images(engine)
    version = release.tree_version(engine.environment)
    release.build(engine, version)
    after = tagged(engine, version)
    say(f"upgrade from {_version(engine, before)} to {version}")
    front.check(engine)
    replace(engine, before, after)
    _prune(engine)


def rollback(engine: Engine) -> None:
    """Replace the running version by the one before. Migrations are not undone, so it must work with their tables."""
    before = running_images(engine)
    try:
        after = tagged(engine, running_tag(engine.environment) + PREVIOUS)
    except Stop:
        raise Stop(
            "there is no version before: no upgrade was made here. "
            "`make compose-upgrade VERSION=...` takes any version whose images are there"
        ) from None
    if after == before:
        raise Stop(f"the version before, {_version(engine, after)}, runs already")
    say(f"rollback from {_version(engine, before)} to {_version(engine, after)}")
    replace(engine, before, after)


def replace(engine: Engine, before: Mapping[str, str], after: Mapping[str, str], *, surge: Surge | None = None) -> None:
    """Replace containers of the images `before` by those of `after`; also with the same images and other settings.

    Raises `Stop` or `EngineError` with everything as it was.
    """
    tag = running_tag(engine.environment)
    surge = surge or Surge(engine, say)
    release.point(engine, to=after, tag=tag)
    try:
        # The migrations of an earlier version do nothing: it ignores those that it does not know.
        jobs.do(engine, *jobs.JOBS)
        say("migrations and static files are in place")
        scale = "".join(f"{part} " for part in engine.scale("nginx"))
        surge.start()
        front.reload(engine, say, scale)
    except BaseException:
        say("going back: the old containers serve as before")
        _back(engine, surge, before)
        raise
    if dict(before) != dict(after):
        release.point(engine, to=before, tag=tag + PREVIOUS)
    for name in surge.finish():
        say(f"{name} had to be killed: it did not end within its stop_grace_period; its last sockets saw 1006")
    try:
        neighbours.refresh(engine, say)
    except EngineError as error:
        raise Stop(f"web, ws and relay are replaced, but the other services are not: {error}") from None


def _back(engine: Engine, surge: Surge, before: Mapping[str, str]) -> None:
    """End the new containers. The caller raises the reason; an error of this is printed beside it."""
    try:
        surge.back()
        release.point(engine, to=before, tag=running_tag(engine.environment))
        # The old static files count as the newest release's again, so that the next upgrade keeps them.
        jobs.do(engine, "static")
    except (Stop, EngineError) as error:
        say(f"going back met an error too: {error}")


def running_images(engine: Engine) -> dict[str, str]:
    """Return service -> image id of the running version, which has the tag if a surge was interrupted."""
    images: dict[str, str] = {}
    for service, name in IMAGES.items():
        there = Counter(each.image for each in engine.containers(service))
        if not there:
            raise Stop(f"{service} does not run here; `make compose-up` starts everything")
        tag = engine.image(f"{name}:{running_tag(engine.environment)}")
        images[service] = tag if tag is not None and tag in there else there.most_common(1)[0][0]
    return images


def _version(engine: Engine, images: Mapping[str, str]) -> str:
    return " / ".join(sorted({engine.version(image) for image in images.values()}))


def _prune(engine: Engine) -> None:
    """Remove the tags of old versions. Docker keeps an image that has another tag or a container."""
    for name in IMAGES.values():
        tags = engine.docker("image", "ls", "--format", "{{.Tag}}", name).split()
        for tag in [tag for tag in tags if VERSION.fullmatch(tag)][KEPT:]:
            engine.docker("image", "rm", f"{name}:{tag}")


@contextmanager
def locked(path: Path = LOCK) -> Iterator[None]:
    """Hold the lock of this tree's deployments. Raises `Stop` if another command has it."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stop("another upgrade, rollback, restore or rotation runs in this directory") from None
        yield


def run_command(command: str, do: Callable[[Engine], None]) -> int:
    """Run a command under the lock; print its error in a line. Return the exit status."""
    began = time.monotonic()
    try:
        with locked():
            do(Engine())
    except (Stop, EngineError) as error:
        sys.stderr.write(f"{command}: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{command}: interrupted\n")
        return 130
    say(f"{command}: done in {time.monotonic() - began:.0f} s")
    return 0


def main() -> int:
    if sys.argv[1:] == ["back"]:
        return run_command("compose-rollback", rollback)
    return run_command("compose-upgrade", upgrade)


if __name__ == "__main__":
    sys.exit(main())
