"""A stack with Prometheus beside it, as in production: the committed rules, and exporters where there are some."""

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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from deploy.local.layout import LOOPBACK, ROOT, free_ports
from deploy.local.ready import wait_until_ready
from deploy.local.system import find_program
from tests.stack import Stack

# A rule's windows and waiting times are divided by this, so that five minutes are ten seconds; nothing else changes.
FASTER = 30
SCRAPE_SECONDS = 1
READY_SECONDS = 30.0
SPAN = re.compile(r"(\[|for: |keep_firing_for: )(\d+)([smh])\b")
SECONDS = {"s": 1, "m": 60, "h": 3600}


def why_not() -> str | None:
    return None if find_program("prometheus") else "needs prometheus: Debian's package prometheus"


def hurried(rules: str) -> str:
    """Rules with each duration a thirtieth of what it is."""
    return SPAN.sub(lambda found: f"{found[1]}{int(found[2]) * SECONDS[found[3]] * 1000 // FASTER}ms", rules)


def named(alert: str, labels: Mapping[str, str]) -> str:
    """An alert's name; of those that share one, with the metric that each is about."""
    return f"{alert} {labels['metric']}" if "metric" in labels else alert


def alerts() -> set[str]:
    """Every alert of the rules, as `firing` names them."""
    return {
        named(rule["alert"], rule["labels"])
        for path in (ROOT / "deploy" / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


class Watched:
    """Scrapes a running stack every second, under the jobs that rules and dashboards name."""

    def __init__(self, stack: Stack, directory: Path, *, loaded: bool = False) -> None:
        self.stack = stack
        self.loaded = loaded
        self._directory = directory
        ports = free_ports()
        self._port, self._redis_port, self._nginx_port, self._status_port = (next(ports) for _ in range(4))
        # Where a load test of this stack answers, if there is one.
        self.load_port = next(ports)
        self.url = f"http://{LOOPBACK}:{self._port}"
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def exporters(self) -> dict[str, list[str]]:
        """Those that are installed: job -> command."""
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
                # How long a series is taken for there without a sample: five minutes, as fast as the rules.
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
        """Scrape all; or with metrics dropped on the way, or without a job, to see that this is noticed."""
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
        """Whether every process of the stack and every exporter has answered its last scrape."""
        ports = self.stack.layout.ports
        return len(self.query("up == 1")) >= len(ports.admin) + len(ports.web) + 1 + len(self.exporters)

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The result of an instant query. Raises AssertionError where it does not parse."""
        return list(self._get("query", query=expr)["result"])

    def query_range(self, expr: str, seconds: float, *, step: int = 1) -> list[dict[str, Any]]:
        now = time.time()
        return list(
            self._get("query_range", query=expr, start=f"{now - seconds}", end=f"{now}", step=str(step))["result"]
        )

    def problem(self, expr: str) -> str | None:
        """What is wrong with a query on this stack: it does not parse, or it has no number to show."""
        try:
            found = self.query(expr)
        except AssertionError as error:
            return f"{expr}: {error}"
        if not any(not math.isnan(float(each["value"][1])) for each in found):
            return f"{expr}: no data"
        return None

    def firing(self) -> dict[str, str]:
        """Alerts that fire now, by `named`, with their summaries."""
        alerts = json.loads(self._read("alerts"))["data"]["alerts"]
        return {
            named(alert["labels"]["alertname"], alert["labels"]): alert["annotations"]["summary"]
            for alert in alerts
            if alert["state"] == "firing"
        }

    def wait(self, what: Callable[[], bool], *, seconds: float) -> bool:
        """Whether it came true in time; asked once an evaluation, which is when it can change."""
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                return False
            time.sleep(SCRAPE_SECONDS / 2)
        return True

    def _open_status(self) -> None:
        """The counts of nginx, for its exporter, on a port of their own."""
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
