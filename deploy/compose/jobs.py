"""The jobs of a release: migrations, static files, and the rights on volumes.

They run by `docker compose up`, as at the first start, so that a later `up` finds nothing changed: it would replace all
services that depend on a job with an old image or old settings.
"""
# ruff: noqa: INP001 - deploy/ is no package; found from the root

from __future__ import annotations

from deploy.compose.engine import Engine, Stop

JOBS = ("migrate", "static", "volumes")
# A migration of a large table.
JOB_SECONDS = 3600.0
LOG_LINES = "20"


def do(engine: Engine, *names: str, seconds: float = JOB_SECONDS) -> None:
    """Run the jobs with the running tag's images. Raises `Stop`, with the end of its log, for a job that fails.

    A job of an interrupted command may run still: it ends first, because it is another version's and holds its locks.
    """
    engine.compose("rm", "--force", "--stop", *names)
    engine.compose("up", "--detach", "--no-recreate", *names)
    for name in names:
        container = engine.compose("ps", "--all", "--quiet", name).strip()
        code = engine.docker("wait", container, timeout_seconds=seconds).strip()
        if code != "0":
            said = engine.compose("logs", "--no-color", "--no-log-prefix", "--tail", LOG_LINES, name)
            raise Stop(f"the job {name} failed ({code}); the end of its log:\n{said.rstrip()}")
