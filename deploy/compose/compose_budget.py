"""The budgets of the compose project, from its file."""
# ruff: noqa: INP001 - deploy/ is no package; found from the root

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dashboard.env import PREFIX, Env
from deploy import budgets
from deploy.local.layout import ROOT

# Number of files that a process may open at least, if its service has no limit of its own.
FILES = 1024
# An upgrade starts as many new containers as there are old ones (deploy.compose.surge).
SURGE = 2


def problems(file: Path = ROOT / "compose.yaml", environ: Mapping[str, str] = os.environ) -> str:
    """Return a line for each budget that is exceeded; empty: none."""
    services = yaml.safe_load(_interpolated(file.read_text(encoding="utf-8"), environ))["services"]
    main = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text(encoding="utf-8")
    try:
        return "\n".join(budgets.problems(fleet(services, main)))
    except (KeyError, ValueError) as error:
        return f"budgets cannot be added up: {error}"


def fleet(services: Mapping[str, Any], main: str) -> budgets.Fleet:
    redis, postgres = services["redis"], services["postgres"]
    return budgets.Fleet(
        web=SURGE * _replicas(services["web"]),
        web_workers=_setting(services["web"], "web_workers"),
        web_threads=_setting(services["web"], "web_threads"),
        ws=SURGE * _replicas(services["ws"]),
        relays=SURGE * _replicas(services["relay"]),
        nginx=_replicas(services["nginx"]),
        connections_per_node=_setting(services["ws"], "connections_per_node"),
        database_connections=int(budgets.option(_command(postgres), "max_connections", "100")),
        redis_clients=int(budgets.option(_command(redis), "--maxclients", "10000")),
        nginx_files=_files(services["nginx"]),
        nginx_memory_bytes=_memory(services["nginx"]),
        ws_files=_files(services["ws"]),
        ws_memory_bytes=_memory(services["ws"]),
        postgres_memory_bytes=_memory(postgres),
        postgres_processes=_limits(postgres)["pids"],
        redis_memory_bytes=_memory(redis),
        redis_maxmemory_bytes=budgets.size(budgets.option(_command(redis), "--maxmemory", "0")),
        **budgets.nginx_numbers(main),
    )


def _interpolated(text: str, environ: Mapping[str, str]) -> str:
    """Replace ${NAME:-default} as compose does."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: environ.get(match[1]) or match[2], text)


def _command(service: Mapping[str, Any]) -> list[str]:
    return [str(word) for word in service.get("command", [])]


def _limits(service: Mapping[str, Any]) -> dict[str, Any]:
    return dict(service["deploy"]["resources"]["limits"])


def _files(service: Mapping[str, Any]) -> int:
    limit = service.get("ulimits", {}).get("nofile", FILES)
    return int(limit["soft"] if isinstance(limit, dict) else limit)


def _memory(service: Mapping[str, Any]) -> int:
    return budgets.size(str(_limits(service)["memory"]))


def _replicas(service: Mapping[str, Any]) -> int:
    return int(service["deploy"].get("replicas", 1))


def _setting(service: Mapping[str, Any], field: str) -> int:
    return int(service["environment"].get(f"{PREFIX}{field.upper()}", Env.model_fields[field].default))
