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

_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
METRICS_DIR: Final = Path(os.environ.get(_VARIABLE) or Path(tempfile.gettempdir()) / f"tidewire-web-{os.getpid()}")
if "prometheus_client" not in sys.modules:
    # Set in no other process than Gunicorn's: a test or a tool may import this module too, and count in its memory.
    os.environ[_VARIABLE] = str(METRICS_DIR)


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
    if _VARIABLE not in os.environ:
        sys.exit(
            "tidewire cannot start: prometheus_client was imported before tidewire.gunicorn, so workers count apart:"
            " import tidewire.gunicorn first in gunicorn.conf.py"
        )
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
