"""Gunicorn's hooks for pages: `/metrics` is the sum over all workers, also over those that have ended.

`gunicorn.conf.py` of a project must import it before anything imports prometheus_client, which decides at its import
how it counts.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

__all__ = ["METRICS_DIR", "child_exit", "on_starting"]

METRICS_DIR: Final = Path(
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(Path(tempfile.gettempdir()) / f"tidewire-web-{os.getpid()}"))
)


def on_starting(server: Any) -> None:
    """Refuse greenlets with a one-line error, and delete the counts of an earlier run, which would be added.

    Args:
        server: Gunicorn's arbiter, which passes itself.

    Example:
        >>> # gunicorn.conf.py
        >>> from tidewire.gunicorn import child_exit, on_starting
        >>> worker_class = "tidewire.gunicorn_worker.ClosingWorker"

    """
    # Checked by module, since a class may have several names and subclasses.
    modules = {base.__module__.rpartition(".")[2] for base in server.cfg.worker_class.__mro__}
    if not modules.isdisjoint({"ggevent", "geventlet"}):
        # The library refuses them too, but in every worker and with a traceback.
        name = server.cfg.settings["worker_class"].get()
        sys.exit(f"tidewire cannot start: it needs real threads, and not --worker-class {name}: leave the option out")
    METRICS_DIR.mkdir(parents=True, exist_ok=True)
    for counts in METRICS_DIR.glob("*.db"):
        counts.unlink()


def child_exit(_server: Any, worker: Any) -> None:
    """Add the counts of a worker that has ended to those of earlier ones.

    Args:
        worker: Gunicorn's worker.

    Example:
        >>> # gunicorn.conf.py
        >>> from tidewire.gunicorn import child_exit, on_starting

    """
    from tidewire.publishing import ended_workers  # noqa: PLC0415 - needs the directory above

    ended_workers.collect(METRICS_DIR, worker.pid)
