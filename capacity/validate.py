"""The model against a run that it was not fitted to: the predicted and the measured cost of the run's workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capacity.model import plan
from capacity.workload import Costs, Machine, Shared, Topic, Wanted, Workload, WorkloadError
from loadtest.create_users import DOCUMENTS
from loadtest.report import compare_runs
from loadtest.report.hold_stats import hold_span
from loadtest.run import figures

# A run has no limits to plan for.
WANTED = Wanted(250.0, 0.6)
MEMORY_MIB, OPEN_FILES, MBIT = 4096.0, 1_000_000, 1e6
# The generator's cost of an event that it reads: docs/load-testing.md, *Very many sockets*, 2026-11-25.
READING_US = 14.2
EVENT_BYTES = 300
USERS, NOTIFICATIONS, LIST = "/ws/users/", "/ws/notifications/", "/ws/documents/"
READ, EDIT = "/ws/document/[slug]/read/", "/ws/document/[slug]/update/"


@dataclass(frozen=True, slots=True)
class Receivers:
    """The receivers of an event: sockets on these paths, spread over a number of topics."""

    kind: str
    paths: Sequence[str]
    topics: int = 1


EVENTS = {
    "notification.created": Receivers("stream", (NOTIFICATIONS,)),
    "users.count": Receivers("state", (USERS,)),
    "documents.status": Receivers("state", (LIST,)),
    "document.status": Receivers("state", (READ, EDIT), DOCUMENTS),
    "lease.status": Receivers("state", (EDIT,), DOCUMENTS),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure, predicted and measured."""

    name: str
    predicted: float
    measured: float
    unit: str

    @property
    def error(self) -> float:
        """The error of the prediction, as a share of the measured value."""
        return self.predicted / self.measured - 1 if self.measured else 0.0

    def __str__(self) -> str:
        return (
            f"{self.name}: predicted {self.predicted:.3g} {self.unit}, measured {self.measured:.3g} {self.unit},"
            f" error {self.error:+.0%}"
        )


def workload_of(run: Mapping[str, Any]) -> Workload:
    """Return the workload of the run's users while all were live, by the second."""
    held = run.get("hold_stats")
    if not held or not held["seconds"]:
        raise WorkloadError("the report has no hold with statistics; reports of earlier versions have none")
    since, until = hold_span(run["phases"])
    seconds = held["seconds"]
    moments = [row for row in run["series"]["users"] if since <= row[0] < until]
    sockets = sum(held["sockets"].values())
    if not moments or not sockets:
        raise WorkloadError("nothing was noted in the run's hold")
    users = max(1, round(sum(row[1] for row in moments) / len(moments)))
    pages = sum(times for name, times in held["pages"].items() if name.startswith("GET "))
    saves = sum(times for name, times in held["pages"].items() if name.startswith("POST ") and "/login/" not in name)
    handshakes = held["handshakes"]
    connects = max(1, sum(handshakes.values()))
    topics = [
        _topic(name, receivers, run, since=since, until=until)
        for name, receivers in EVENTS.items()
        if name in run["series"]["deliveries"]
    ]
    return Workload(
        users=users,
        tabs=1.0,
        sockets_per_tab=sockets / users,
        handshakes_per_page=connects / max(1, pages + saves),
        pages_per_user_minute=pages / seconds / users * 60,
        saves_per_user_minute=saves / seconds / users * 60,
        editing_share=held["sockets"].get(EDIT, 0.0) / users,
        ticket_share=1.0,
        present_share=sum(handshakes.get(path, 0) for path in (USERS, READ, EDIT)) / connects,
        query_share=sum(handshakes.get(path, 0) for path in (READ, EDIT)) / connects,
        # All users have logged in before the hold.
        logins_per_second=0.0,
        topic=topics,
        wanted=WANTED,
        machine=Machine(MEMORY_MIB, OPEN_FILES, MBIT, MBIT, _shared(run, since=since, until=until)),
    )


def _topic(name: str, receivers: Receivers, run: Mapping[str, Any], *, since: int, until: int) -> Topic:
    """Return a topic with events by the second, from deliveries; a state's first value belongs to the handshake."""
    held = run["hold_stats"]
    on_it = sum(held["sockets"].get(path, 0.0) for path in receivers.paths)
    came = sum(count for second, count in run["series"]["deliveries"][name] if since <= second < until)
    if receivers.kind == "state":
        came = max(0, came - sum(held["handshakes"].get(path, 0) for path in receivers.paths))
    audience = on_it / receivers.topics / sum(held["sockets"].values())
    events = came * receivers.topics / on_it / held["seconds"] if on_it else 0.0
    return Topic(name, receivers.kind, events, EVENT_BYTES, audience)


def _shared(run: Mapping[str, Any], *, since: int, until: int) -> Shared:
    """Return the run's machine, which all processes shared, with the use of the generator and of other processes."""
    used = [cores for second, cores in run["series"]["machine"] if since <= second < until]
    services = sum(service["cpu_mean"] for service in run["services"].values())
    cores = int(run["configuration"]["machine"].split()[0])
    return Shared(cores, max(0.0, sum(used) / max(1, len(used)) - services), READING_US)


def compared(run: Mapping[str, Any], costs: Costs) -> list[Comparison]:
    """Compare CPU and memory of the nodes, CPU of web, Redis and nginx, and p95 of delivery."""
    services = run["services"]
    nodes = [values for name, values in services.items() if name.startswith("ws")]
    if not nodes:
        raise WorkloadError("the run did not watch its ws nodes: there is nothing to compare with")
    planned = plan(workload_of(run), costs, nodes=len(nodes))
    measured = [
        Comparison("ws nodes, CPU", planned.ws_cores, sum(node["cpu_mean"] for node in nodes), "cores"),
        Comparison("a ws node, memory", planned.node_memory_mib, max(node["rss_mib"] for node in nodes), "MiB"),
    ]
    for service, name, predicted in (
        ("web", "web, CPU", planned.web_cores),
        ("redis", "Redis, CPU", planned.redis_core),
        ("nginx", "nginx, CPU", planned.nginx_cores),
    ):
        if service in services:
            measured.append(Comparison(name, predicted, services[service]["cpu_mean"], "cores"))
    if delivery := run["latencies"].get(figures.DELIVERY):
        measured.append(Comparison("delivery p95", planned.p95_ms, delivery["p95"], "ms"))
    return measured


def main(paths: Sequence[Path], costs: Costs) -> str:
    lines = []
    for path in paths:
        run = compare_runs.read(path)
        lines += [f"{path}: {run['title']}, {run['configuration']['date']}", *map(str, compared(run, costs)), ""]
    return "\n".join(lines)
