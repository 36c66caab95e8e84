"""A stack with Prometheus, as in production: the committed rules, and the exporters that are installed."""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import yaml

from deploy.local.layout import LOOPBACK, ROOT, free_ports
from deploy.local.ready import wait_until_ready
from deploy.local.system import find_program
from tests.stack import Stack

# Windows and waiting times of the rules are divided by this: five minutes become ten seconds. Nothing else changes.
FASTER = 30
SCRAPE_SECONDS = 1
READY_SECONDS = 30.0
SPAN = re.compile(r"(\[|for: |keep_firing_for: |offset )(\d+)([smh])\b")
SECONDS = {"s": 1, "m": 60, "h": 3600}


def why_not() -> str | None:
    return None if find_program("prometheus") else "needs prometheus: Debian's package prometheus"


def hurried(rules: str) -> str:
    """Return the rules with a thirtieth of each duration."""
    return SPAN.sub(lambda found: f"{found[1]}{int(found[2]) * SECONDS[found[3]] * 1000 // FASTER}ms", rules)


def alerts() -> set[str]:
    """Return the name of every alert of the rules."""
    return {
        rule["alert"]
        for path in (ROOT / "deploy" / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


class Watched:
    """Scrapes a running stack every second, with the jobs of the rules and dashboards."""

    def __init__(self, stack: Stack, directory: Path, *, loaded: bool = False) -> None:
        self.stack = stack
        self.loaded = loaded
        self._directory = directory
        ports = free_ports()
        self._port, self._redis_port, self._nginx_port, self._status_port = (next(ports) for _ in range(4))
        # The port of the metrics of a load test, if there is one.
        self.load_port = next(ports)
        self.url = f"http://{LOOPBACK}:{self._port}"
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def exporters(self) -> dict[str, list[str]]:
        """The installed exporters: job -> command."""
        redis = [f"-redis.addr={self.stack.redis_url}", f"-web.listen-address={LOOPBACK}:{self._redis_port}"]
        nginx = [
            f"-nginx.scrape-uri=http://{LOOPBACK}:{self._status_port}/stub_status",
            f"-web.listen-address={LOOPBACK}:{self._nginx_port}",
        ]
        found = {
            "redis": (find_program("prometheus-redis-exporter", "redis_exporter"), redis),
            "nginx": (find_program("prometheus-nginx-exporter", "nginx-prometheus-exporter"), nginx),
        }
        return {job: [program, *options] for job, (program, options) in found.items() if program}

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True)
        for path in (ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"):
            (self._directory / path.name).write_text(hurried(path.read_text(encoding="utf-8")), encoding="utf-8")
        self._open_status()
        self.configure(start=True)
        for command in self.exporters.values():
            self._spawn(command)
        self._prometheus = self._spawn(
            [
                find_program("prometheus") or "prometheus",
                f"--config.file={self._directory / 'prometheus.yaml'}",
                f"--storage.tsdb.path={self._directory / 'data'}",
                f"--web.listen-address={LOOPBACK}:{self._port}",
                # A series stays valid this long after its last sample: five minutes, divided like the rules.
                f"--query.lookback-delta={300 // FASTER}s",
            ]
        )
        late = wait_until_ready({"prometheus": f"{self.url}/-/ready"}, timeout_seconds=READY_SECONDS)
        if late:
            self.__exit__()
            raise AssertionError((self._directory / "prometheus.log").read_text(encoding="utf-8")[-2000:])
        return self

    def __exit__(self, *_exception: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(20)

    def configure(self, *, dropped: str = "", without: str = "", start: bool = False) -> None:
        """Configure the scrapes: of all jobs, without the metrics in `dropped`, or without one job."""
        ports = self.stack.layout.ports
        targets = {"ws": ports.admin, "web": ports.web, "relay": (ports.relay,)}
        if self.loaded:
            targets["load"] = (self.load_port,)
        if "redis" in self.exporters:
            targets["redis"] = (self._redis_port,)
        if "nginx" in self.exporters:
            targets["nginx"] = (self._nginx_port,)
        drop = [{"source_labels": ["__name__"], "regex": dropped, "action": "drop"}] if dropped else []
        interval = f"{SCRAPE_SECONDS}s"
        configuration = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "rule_files": [str(self._directory / "*.yml")],
            "scrape_configs": [
                {
                    "job_name": job,
                    "static_configs": [{"targets": [f"{LOOPBACK}:{port}" for port in found]}],
                    "metric_relabel_configs": drop,
                }
                for job, found in targets.items()
                if job != without
            ],
        }
        (self._directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
        if not start:
            self._prometheus.send_signal(signal.SIGHUP)

    def sees_all(self) -> bool:
        """Return whether every process of the stack and every exporter has answered its last scrape."""
        ports = self.stack.layout.ports
        return len(self.query("up == 1")) >= len(ports.admin) + len(ports.web) + 1 + len(self.exporters)

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the result of an instant query. Raises AssertionError if the query does not parse."""
        return list(self._get("query", query=expr)["result"])

    def query_range(self, expr: str, seconds: float, *, step: int = 1) -> list[dict[str, Any]]:
        now = time.time()
        return list(
            self._get("query_range", query=expr, start=f"{now - seconds}", end=f"{now}", step=str(step))["result"]
        )

    def problem(self, expr: str) -> str | None:
        """Return the problem of a query on this stack, if it does not parse or has no number to show."""
        try:
            answer = self.query(expr)
        except AssertionError as error:
            return f"{expr}: {error}"
        if not any(not math.isnan(float(each["value"][1])) for each in answer):
            return f"{expr}: no data"
        return None

    def firing(self) -> dict[str, str]:
        """Return the alerts that fire now with their summaries, without the one that always fires."""
        alerts = json.loads(self._read("alerts"))["data"]["alerts"]
        return {
            alert["labels"]["alertname"]: alert["annotations"]["summary"]
            for alert in alerts
            if alert["state"] == "firing" and alert["labels"]["alertname"] != "TidewireWatchdog"
        }

    def wait(self, what: Callable[[], bool], *, seconds: float) -> bool:
        """Return whether a condition became true in time. Polls as often as Prometheus evaluates rules."""
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                return False
            time.sleep(SCRAPE_SECONDS / 2)
        return True

    def _open_status(self) -> None:
        """Serve nginx's status for its exporter, on a port of its own."""
        path = self.stack.layout.run / "nginx" / "nginx.conf"
        server = f"server {{ listen {LOOPBACK}:{self._status_port}; location = /stub_status {{ stub_status; }} }}\n}}\n"
        text = path.read_text(encoding="utf-8").rstrip()
        path.write_text(text.removesuffix("}") + server, encoding="utf-8")
        self.stack.processes["nginx"].process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._directory / f"{Path(command[0]).name}.log").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self._processes.append(process)
        return process

    def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        return dict(json.loads(self._read(f"{what}?{urllib.parse.urlencode(parameters)}"))["data"])

    def _read(self, what: str) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/api/v1/{what}", timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()) from None
