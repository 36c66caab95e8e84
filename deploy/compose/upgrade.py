"""`make compose-upgrade` and `make compose-rollback`: another version of web, ws and relay, without a failed page.

Migrations and static files first, then a surge (deploy.compose.surge). If the new containers do not become ready, they
end, and the old ones, which served all the time, go on.
"""
# ruff: noqa: INP001 - deploy/ is no package; `python -m deploy.compose.upgrade` finds it from the root

from __future__ import annotations

import contextlib
import fcntl
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.compose import front, jobs, neighbours, release, signals
from deploy.compose.engine import ROOT, Engine, EngineError, Stop
from deploy.compose.record import Interrupted
from deploy.compose.release import IMAGES, PREVIOUS, running_tag, say, tagged
from deploy.compose.surge import SERVICES, Surge, replicas

LOCK = ROOT / "var" / "compose.lock"
# Number of versions kept beside the running one and the one before it.
KEPT = 5
# On the way back the jobs have nothing to do, and Ctrl-C waits for them: a database that hangs must not keep it.
BACK_SECONDS = 60.0
VERSION = re.compile(r"\d+(\.\d+)+(-[0-9a-f]{7,})?(-\d{8}T\d{6})?")


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
    if _interrupted(engine):
        say(f"a command was interrupted: back to {_version(engine, before)}, which served before it")
        replace(engine, before, before)
        return
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

    Raises `Stop`, `EngineError` or KeyboardInterrupt. Until `surge.started` is true everything is as it was; after that
    the new containers serve.
    """
    tag = running_tag(engine.environment)
    surge = surge or Surge(engine, say)
    interrupted = _left(engine)
    surge.numbers = interrupted.numbers if interrupted else replicas(engine.containers(*SERVICES))
    try:
        engine.record.write(before, surge.numbers)
    except OSError as error:
        raise Stop(f"{engine.record.path} cannot be written: {error.strerror}; nothing was changed") from None
    try:
        release.point(engine, to=after, tag=tag)
        # The migrations of an earlier version do nothing: it ignores those that it does not know.
        jobs.do(engine, *jobs.JOBS)
        say("migrations and static files are in place")
        scale = "".join(f"{part} " for part in engine.scale("nginx"))
        surge.start()
        front.reload(engine, say, scale)
    except BaseException:
        with signals.held():
            say("going back: the old containers serve as before")
            _back(engine, surge, before)
        raise
    surge.started = True
    if dict(before) != dict(after):
        release.point(engine, to=before, tag=tag + PREVIOUS)
    # On a full disk the record of the beginning is right too: the new containers run, and the old ones end.
    with contextlib.suppress(OSError):
        engine.record.write(after, surge.numbers)
    for name in surge.finish():
        say(f"{name} had to be killed: it did not end within its stop_grace_period; its last sockets saw 1006")
    engine.record.end()
    try:
        neighbours.refresh(engine, say)
    except EngineError as error:
        raise Stop(f"web, ws and relay are replaced, but the other services are not: {error}") from None


def _back(engine: Engine, surge: Surge, before: Mapping[str, str]) -> None:
    """End the new containers. The caller raises the reason; an error of this is printed beside it."""
    tag = running_tag(engine.environment)
    # The tag first: whatever else fails, the next start must not use the new version. The jobs of the
    # old version run again: a migration that waits for a lock ends, and its static files count as the newest release's.
    steps = (
        lambda: release.point(engine, to=before, tag=tag),
        surge.back,
        engine.record.end,
        lambda: jobs.do(engine, *jobs.JOBS, seconds=BACK_SECONDS),
    )
    for step in steps:
        try:
            step()
        except (Stop, EngineError, OSError) as error:
            say(f"going back met an error too: {error}")


def running_images(engine: Engine) -> dict[str, str]:
    """Return service -> image id of the running version, or of the one that served before an interrupted command."""
    there = {service: Counter(each.image for each in engine.containers(service)) for service in IMAGES}
    for service, found in there.items():
        if not found:
            raise Stop(f"{service} does not run here; `make compose-up` starts everything")
    if interrupted := _left(engine):
        return {service: interrupted.images[service] for service in IMAGES}
    images: dict[str, str] = {}
    for service, name in IMAGES.items():
        tag = engine.image(f"{name}:{running_tag(engine.environment)}")
        images[service] = tag if tag is not None and tag in there[service] else there[service].most_common(1)[0][0]
    return images


def _left(engine: Engine) -> Interrupted | None:
    """Return the record of an interrupted command if the containers that served before it still run."""
    found = engine.record.read()
    if found is None:
        return None
    there = {service: {each.image for each in engine.containers(service)} for service in IMAGES}
    return found if all(found.images.get(service) in there[service] for service in IMAGES) else None


def _interrupted(engine: Engine) -> bool:
    """Return whether an interrupted command has left the running tag at a version that may not serve."""
    interrupted = _left(engine)
    return interrupted is not None and dict(interrupted.images) != tagged(engine, running_tag(engine.environment))


def _version(engine: Engine, images: Mapping[str, str]) -> str:
    return " / ".join(sorted({engine.version(image) for image in images.values()}))


def _prune(engine: Engine) -> None:
    """Remove the tags of old versions. Docker keeps an image that has another tag or a container."""
    for name in IMAGES.values():
        tags = engine.docker("image", "ls", "--format", "{{.Tag}}", name).split()
        for tag in [tag for tag in tags if VERSION.fullmatch(tag)][KEPT:]:
            try:
                engine.docker("image", "rm", f"{name}:{tag}")
            except EngineError as error:
                say(f"{name}:{tag} keeps its tag: {error}")


@contextmanager
def locked(path: Path = LOCK) -> Iterator[None]:
    """Hold the lock of this tree's deployments. Raises `Stop` if another command has it."""
    try:
        path.parent.mkdir(exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise Stop(f"{path} cannot be used: {error.strerror}; run this as the user that has this directory") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stop("another upgrade, rollback, restore or rotation runs in this directory") from None
        yield


def run_command(command: str, do: Callable[[Engine], None]) -> int:
    """Run a command under the lock; print its error in a line. Return the exit status."""
    began = time.monotonic()
    try:
        with locked(), signals.ending():
            do(Engine())
    except (Stop, EngineError) as error:
        say(f"{command}: {error}", sys.stderr)
        return 1
    except KeyboardInterrupt:
        say(f"{command}: interrupted", sys.stderr)
        return 130
    say(f"{command}: done in {time.monotonic() - began:.0f} s")
    return 0


def main() -> int:
    if sys.argv[1:] == ["back"]:
        return run_command("compose-rollback", rollback)
    return run_command("compose-upgrade", upgrade)


if __name__ == "__main__":
    sys.exit(main())
