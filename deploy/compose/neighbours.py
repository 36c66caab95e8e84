"""The other services after an upgrade: monitoring is brought to the new files, databases are left and named."""
# ruff: noqa: INP001 - deploy/ is no package; found from the root

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.compose.engine import Container, Engine, EngineError
from deploy.compose.surge import SERVICES

# A restart of these can be noticed.
STORES = {"postgres": "pages and saves fail for about 5 s", "redis": "pages are stale for about 3 s"}


def refresh(engine: Engine, say: Callable[[str], None]) -> None:
    """Replace monitoring with changed settings, restart it for changed files, and reload the rules."""
    services = engine.services()
    if missing := _missing(engine, services):
        engine.up(*missing)
        say(f"started {', '.join(missing)}")
    running = {each.service: each for each in engine.containers()}
    # Monitoring is all that is left: no page or socket depends on it.
    for name in sorted(running.keys() & services.keys() - {*SERVICES, *STORES, "nginx"}):
        if _settings_changed(engine, running[name], services[name]):
            engine.compose("rm", "--force", "--stop", name)
            engine.up(name)
            say(f"{name}: replaced, since its settings have changed")
        elif _files_changed(engine, running[name], services[name]):
            engine.compose("restart", name)
            say(f"{name}: restarted with its changed files")
    if "prometheus" in running:
        # The rules are a directory, which it reads again.
        engine.compose("kill", "--signal", "HUP", "prometheus")
    for name, cost in STORES.items():
        if name in running and name in services and _settings_changed(engine, running[name], services[name]):
            say(
                f"{name} is left as it runs, though its settings have changed: to replace it means that {cost}. "
                f"In a quiet minute: docker compose up --detach {name}"
            )


def _missing(engine: Engine, services: Mapping[str, Any]) -> list[str]:
    """Return the services that do not run; a job, which ends, has `restart: "no"`."""
    running = {each.service for each in engine.containers()}
    return sorted(name for name in services if name not in running and services[name].get("restart") != "no")


def _settings_changed(engine: Engine, container: Container, service: Mapping[str, Any]) -> bool:
    image = engine.image(str(service["image"]))
    # An image that cannot be had here changes nothing.
    return container.config_hash != engine.config_hash(container.service) or image not in (None, container.image)


def _files_changed(engine: Engine, container: Container, service: Mapping[str, Any]) -> bool:
    """Tell whether a mounted file was replaced on the host: the container has the old one until it restarts."""
    for mount in service.get("volumes", []):
        source = Path(mount["source"])
        if mount["type"] != "bind" or not source.is_file():
            continue
        try:
            if engine.read(container, "cat", mount["target"]) != source.read_text(encoding="utf-8"):
                return True
        except EngineError:
            # An image without `cat`: its files are not looked at.
            continue
    return False
