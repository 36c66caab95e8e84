"""Gunicorn's settings for the web service: threads, behind nginx, with metrics shared across its processes."""

import os
from pathlib import Path

from dashboard.env import read_env
from dashboard.logs import logging_config
from tidewire.gunicorn import child_exit, on_starting  # noqa: F401  # hooks of Gunicorn

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

wsgi_app = "web.wsgi:application"
bind = env.web_bind
# Like "gthread", but its port closes first on shutdown.
worker_class = "tidewire.gunicorn_worker.ClosingWorker"
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
