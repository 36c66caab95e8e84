"""The stack of `make load-smoke` with the stock live parts instead of tidewire's: the same pages, nginx and Redis."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

from deploy.local.layout import LOOPBACK, ROOT
from tests.stack import Node, Stack


class StockStack(Stack):
    def __init__(self, var: Path, *, web: int, ws: int) -> None:
        super().__init__(var, web=web, ws=ws)
        path = os.pathsep.join((self.environment["PYTHONPATH"], str(ROOT)))
        for running in self.processes.values():
            definition = running.definition
            if isinstance(running, Node):
                served = ("-b", LOOPBACK, "-p", str(running.port), "experiments.stock_dashboard.asgi:application")
                settings = "ws.settings"
                definition = dataclasses.replace(
                    definition,
                    # With its default of 5 s Daphne would abort handshakes of a ramp.
                    command=[sys.executable, "-m", "daphne", "--websocket_connect_timeout", "60", *served],
                    ready=f"http://{LOOPBACK}:{running.port}/",
                )
            elif definition.group == "web":
                settings = "experiments.stock_dashboard.settings"
            else:
                continue
            environment = {**definition.environment, "DJANGO_SETTINGS_MODULE": settings, "PYTHONPATH": path}
            running.definition = dataclasses.replace(definition, environment=environment)
