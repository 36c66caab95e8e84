"""Renders the deployment's templates for a local stack, as envsubst does in containers."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.layout import LOOPBACK, ROOT, Layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The names in the containers' main nginx.conf exist only in their image; this version is for a user of this machine.
NGINX_MAIN = """\
daemon off;
worker_processes 2;
worker_rlimit_nofile {open_files};
pid "{run}/nginx.pid";
error_log "{log}/nginx-error.log" warn;
{user}
events {{ worker_connections {connections}; }}
http {{
    include "{mime_types}";
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path "{run}/body";
    proxy_temp_path "{run}/proxy";
    fastcgi_temp_path "{run}/fastcgi";
    uwsgi_temp_path "{run}/uwsgi";
    scgi_temp_path "{run}/scgi";
    include "{run}/tidewire.conf";
}}
"""


def write_configuration(layout: Layout, limits: Mapping[str, str] | None = None) -> None:
    """Write the configuration of nginx and Prometheus; `limits` replaces some of the request limits."""
    run = layout.run / "nginx"
    (run / "nginx.conf").write_text(_nginx_main(layout), encoding="utf-8")
    site = render(ROOT / "deploy" / "nginx" / "tidewire.conf.template", nginx_variables(layout) | dict(limits or {}))
    (run / "tidewire.conf").write_text(site, encoding="utf-8")
    (layout.run / "prometheus.yml").write_text(prometheus_configuration(layout), encoding="utf-8")


def prometheus_configuration(layout: Layout) -> str:
    targets = {
        "TIDEWIRE_RULES": json.dumps([str(ROOT / "deploy" / "prometheus" / "rules" / "*.yml")]),
        "TIDEWIRE_WEB_TARGETS": json.dumps([f"{LOOPBACK}:{port}" for port in layout.ports.web]),
        "TIDEWIRE_LOAD_TARGETS": json.dumps([str(layout.load_targets)]),
        "TIDEWIRE_WS_TARGETS": json.dumps([f"{LOOPBACK}:{port}" for port in layout.ports.admin]),
        "TIDEWIRE_RELAY_TARGETS": json.dumps([f"{LOOPBACK}:{layout.ports.relay}"]),
    }
    return render(ROOT / "deploy" / "prometheus" / "prometheus.yml.template", targets)


def nginx_variables(layout: Layout) -> dict[str, str]:
    return {
        "TIDEWIRE_LISTEN": f"{LOOPBACK}:{layout.ports.nginx}",
        # A restarted process may serve again after a second, not after nginx's default of ten.
        "TIDEWIRE_WEB_SERVERS": _servers(layout.ports.web, "max_fails=1 fail_timeout=1s"),
        # tidewire.conf.template has the reason why each is named twice.
        "TIDEWIRE_WS_SERVERS": " ".join(
            _servers(layout.ports.ws, options) for options in ("max_fails=1 fail_timeout=2s", "max_fails=0 backup")
        ),
        "TIDEWIRE_STATIC_ROOT": str(layout.static),
        "TIDEWIRE_ACCESS_LOG": str(layout.log / "nginx-access.log"),
        "TIDEWIRE_FORWARDED_PROTO": "$scheme",
        "TIDEWIRE_TRUSTED_PROXIES": "",
        "TIDEWIRE_PAGE_RATE": "50r/s",
        "TIDEWIRE_LOGIN_RATE": "2r/s",
        "TIDEWIRE_SOCKET_RATE": "100r/s",
        "TIDEWIRE_SOCKETS_PER_ADDRESS": "1000",
    }


def render(template: Path, variables: Mapping[str, str]) -> str:
    """Replace each ${TIDEWIRE_NAME} of the template; a missing value is an error, and must not become an empty text."""
    # Names in comments are documentation, so only the form with braces is a variable.
    return re.sub(r"\$\{(TIDEWIRE_\w+)\}", lambda match: variables[match[1]], template.read_text(encoding="utf-8"))


def _servers(ports: Sequence[int], options: str) -> str:
    return " ".join(f"server {LOOPBACK}:{port} {options};" for port in ports)


def _nginx_main(layout: Layout) -> str:
    open_files = _open_files()
    return NGINX_MAIN.format(
        run=layout.run / "nginx",
        log=layout.log,
        # As root, nginx would change to a user that may not read this directory.
        user="user root;" if os.geteuid() == 0 else "",
        mime_types=ROOT / "deploy" / "nginx" / "mime.types",
        open_files=open_files,
        # Two connections for each client: its own and the upstream's. Each client may also need an open file.
        connections=open_files // 2,
    )


def _open_files() -> int:
    import resource  # noqa: PLC0415 - not on Windows, where the rest can still be imported

    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Enough for 16,000 sockets a worker, with two connections each. nginx would allocate memory for an unlimited limit.
    return 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
