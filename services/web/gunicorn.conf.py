"""Gunicorn's settings for the web service: threads, behind nginx, with metrics shared across its processes."""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard.env import read_env
from dashboard.logs import logging_config

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

# Read here too, so that a missing variable ends the master with its message instead of restarting workers for ever.
env = read_env()
# Gunicorn would prepend this to each address, but neither nginx nor the sockets use it.
if os.environ.get("SCRIPT_NAME"):
    raise SystemExit(
        "tidewire cannot start:\n  SCRIPT_NAME is set, and a path prefix is not served (docs/kubernetes.md)"
    )
# Each page reads it for the names of its files, so without it every page would be an error.
if not env.debug and not (env.static_root / "staticfiles.json").is_file():
    raise SystemExit(
        f"tidewire cannot start:\n  TIDEWIRE_STATIC_ROOT={env.static_root} has no staticfiles.json: "
        "run services/web/manage.py collectstatic"
    )

# prometheus_client reads this when first imported, in each process; without it a scrape would cover one process only.
_metrics_dir = os.environ.setdefault(
    "PROMETHEUS_MULTIPROC_DIR", str(Path(tempfile.gettempdir()) / f"tidewire-web-{os.getpid()}")
)

wsgi_app = "web.wsgi:application"
bind = env.web_bind
# Like "gthread", but its port closes first on shutdown.
worker_class = "web.closing_worker.ClosingWorker"
workers = env.web_workers
threads = env.web_threads
# The heartbeat file must not wait for a disk; only Linux has this directory.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - the heartbeat, unlinked at once
# Longer than nginx keeps an idle upstream connection (60 s), so that Gunicorn never closes one during a request.
keepalive = 75
timeout = 30
# Longer than any page takes, and shorter than the 30 s that supervisors and Kubernetes allow.
graceful_timeout = 25
# nginx writes the access log.
accesslog = None
errorlog = "-"
# Gunicorn's own lines should have the common format. The master must not import the modules that create metrics, hence
# no request ids; workers, which have requests, configure their logging again with Django.
logconfig_dict = logging_config(
    level=env.log_level, log_format=env.log_format, node=env.node_name, request_ids=False
) | {"loggers": {name: {"handlers": [], "level": env.log_level, "propagate": True} for name in ("gunicorn.error",)}}
# Two instances on one machine would compete for this socket in the home directory, and it is not used here.
control_socket_disable = True


def on_starting(server: "Arbiter") -> None:
    """Refuse greenlets with a one-line error, and delete an earlier run's counts, which would be added."""
    # Checked by module, since a class may have several names and subclasses.
    modules = {base.__module__.rpartition(".")[2] for base in server.cfg.worker_class.__mro__}
    if not modules.isdisjoint({"ggevent", "geventlet"}):
        # The library refuses them too, but in every worker and with a traceback.
        name = server.cfg.settings["worker_class"].get()
        sys.exit(f"tidewire cannot start: it needs real threads, and not --worker-class {name}: leave the option out")
    Path(_metrics_dir).mkdir(parents=True, exist_ok=True)
    for counts in Path(_metrics_dir).glob("*.db"):
        counts.unlink()


def child_exit(_server: "Arbiter", worker: "Worker") -> None:
    from tidewire.publishing import ended_workers  # noqa: PLC0415 - needs the directory above

    ended_workers.collect(Path(_metrics_dir), worker.pid)
