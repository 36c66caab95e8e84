"""nginx during an upgrade: it stays, because only one container can have the published port.

It finds new replicas by itself. Changed files of deploy/nginx are read by a reload, which closes no socket that a
drain does not close first.
"""
# ruff: noqa: INP001 - deploy/ is no package; found from the root

from __future__ import annotations

from collections.abc import Callable

from deploy.compose.engine import Engine, EngineError, Stop

MAIN = "/etc/nginx/tidewire/nginx.conf"
RELOAD = "/etc/nginx/tidewire/reload.sh"


def check(engine: Engine) -> None:
    """Test the new configuration in a container of its own. Raises `Stop` before anything has changed."""
    try:
        engine.compose("run", "--rm", "--no-deps", "-T", "nginx", "nginx", "-t", "-q", "-c", MAIN)
    except EngineError as error:
        raise Stop(f"nginx refuses the new configuration, and nothing was changed: {error}") from None


def reload(engine: Engine, say: Callable[[str], None], scale: str = "") -> None:
    """Give nginx its changed files. Must be called directly before the drain of the old ws nodes.

    `scale` are the options of an `up` that would otherwise change the number of replicas.

    Old workers keep their sockets for worker_shutdown_timeout, in which the drain closes all of them.
    """
    running = engine.containers("nginx")
    if not running:
        say("nginx does not run: docker compose up --detach nginx")
        return
    [nginx] = running
    image = engine.image(str(engine.services()["nginx"]["image"]))
    if nginx.config_hash != engine.config_hash("nginx") or image not in (None, nginx.image):
        say(
            "nginx is left as it runs, though its settings or its image have changed: to replace it closes all sockets "
            "(1006) and takes about 3 s without pages. In a quiet minute: "
            f"docker compose up --detach {scale}nginx"
        )
        return
    try:
        said = engine.read(nginx, "sh", RELOAD)
    except EngineError as error:
        raise Stop(f"nginx keeps its old configuration: {error}") from None
    say(f"nginx: {said.strip().splitlines()[-1]}")
