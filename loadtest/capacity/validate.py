"""The model against a run that it was not fitted on: what the run's workload should have cost, and what it did."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest import compare
from loadtest.capacity.model import plan
from loadtest.capacity.workload import Costs, Machine, Topic, Wanted, Workload, WorkloadError

STREAMS = ("notification.created",)
# A run has no limits to plan for.
WANTED, MACHINE = Wanted(250.0, 0.6), Machine(4096.0, 1_000_000, 1e6, 1e6)
PHASES = ("ramp", "hold", "settle", "ended")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure predicted and measured."""

    name: str
    predicted: float
    measured: float
    unit: str

    @property
    def error(self) -> float:
        """Of the prediction, as a share of what was measured."""
        return self.predicted / self.measured - 1 if self.measured else 0.0

    def __str__(self) -> str:
        return (
            f"{self.name}: predicted {self.predicted:.3g} {self.unit}, measured {self.measured:.3g} {self.unit},"
            f" error {self.error:+.0%}"
        )


def held(run: Mapping[str, Any]) -> tuple[int, int]:
    """The first second of the hold, and the one after its last."""
    starts = [(name, second) for name, second in run["phases"] if name in PHASES]
    for (name, second), (_, following) in itertools.pairwise(starts):
        if name == "hold" and following > second:
            return second, following
    raise WorkloadError("the run has no hold to compare with")


def workload_of(run: Mapping[str, Any]) -> Workload:
    """What the run's users did while all were live, by the second."""
    since, until = held(run)
    seconds = until - since
    moments = [row for row in run["series"]["users"] if since <= row[0] < until]
    if not moments:
        raise WorkloadError("nothing was noted in the run's hold")
    users = max(1.0, sum(row[1] for row in moments) / len(moments))
    sockets = max(1.0, sum(row[2] for row in moments) / len(moments))
    # Every page has one socket on each of the topics that all pages have.
    audience = min(1.0, users / sockets)
    topics = []
    for name, rows in run["series"]["deliveries"].items():
        a_second = sum(count for second, count in rows if since <= second < until) / seconds
        if a_second:
            kind = "stream" if name in STREAMS else "state"
            topics.append(Topic(name, kind, a_second / (audience * sockets), 300, audience))
    logins = sum(each["count"] for each in run["pages"] if each["name"] == "/login/" and each["method"] == "POST")
    pages = sum(each["count"] for each in run["pages"]) - 2 * logins
    whole = max(1, run["series"]["users"][-1][0])
    return Workload(
        users=round(users),
        tabs=1.0,
        sockets_per_tab=sockets / round(users),
        pages_per_user_minute=pages / whole / users * 60,
        ticket_share=1.0,
        # All have logged in before the hold.
        logins_per_second=0.0,
        topic=topics,
        wanted=WANTED,
        machine=MACHINE,
    )


def compared(run: Mapping[str, Any], costs: Costs) -> list[Comparison]:
    """CPU and memory of the nodes, of the pages and of Redis, and p95, of which the run's has the whole way in it."""
    services = run["services"]
    nodes = [values for name, values in services.items() if name.startswith("ws")]
    if not nodes:
        raise WorkloadError("the run did not watch its ws nodes: there is nothing to compare with")
    found = plan(workload_of(run), costs, nodes=len(nodes))
    measured = [
        Comparison("ws nodes, CPU", found.ws_cores, sum(node["cpu_mean"] for node in nodes), "cores"),
        Comparison("a ws node, memory", found.node_memory_mib, max(node["rss_mib"] for node in nodes), "MiB"),
    ]
    if "web" in services:
        measured.append(Comparison("web, CPU", found.web_cores, services["web"]["cpu_mean"], "cores"))
    if "redis" in services:
        measured.append(Comparison("Redis, CPU", found.redis_core, services["redis"]["cpu_mean"], "cores"))
    if delivery := run["latencies"].get("notification.created"):
        measured.append(Comparison("delivery p95", found.p95_ms, delivery["p95"], "ms"))
    return measured


def main(paths: Sequence[Path], costs: Costs) -> str:
    lines = []
    for path in paths:
        run = compare.read(path)
        lines += [f"{path}: {run['title']}, {run['configuration']['date']}", *map(str, compared(run, costs)), ""]
    return "\n".join(lines)
