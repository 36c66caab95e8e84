"""The workload of a load test's report: the actions of its users while all of them were live."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capacity.inputs import WorkloadError
from capacity.workload import Kind, Machine, Shared, Topic, Wanted, Workload
from loadtest.create_users import DOCUMENTS
from loadtest.report.hold_stats import hold_span

# A run has no limits to plan for.
WANTED = Wanted(250.0, 0.6)
MEMORY_MIB, OPEN_FILES, MBIT, CORES = 4096.0, 1_000_000, 1e6, 1e3
# The generator's cost of an event that it reads: docs/load-testing.md, *Very many sockets*, 2026-11-25.
READING_US = 14.2
EVENT_BYTES = 300
USERS, NOTIFICATIONS, LIST = "/ws/users/", "/ws/notifications/", "/ws/documents/"
READ, EDIT = "/ws/document/[slug]/read/", "/ws/document/[slug]/update/"


@dataclass(frozen=True, slots=True)
class Receivers:
    """The receivers of an event: sockets on these paths, spread over a number of topics."""

    kind: Kind
    paths: Sequence[str]
    topics: int = 1


EVENTS = {
    "notification.created": Receivers("stream", (NOTIFICATIONS,)),
    "users.count": Receivers("state", (USERS,)),
    "documents.status": Receivers("state", (LIST,)),
    "document.status": Receivers("state", (READ, EDIT), DOCUMENTS),
    "lease.status": Receivers("state", (EDIT,), DOCUMENTS),
}


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
        tabs_per_user=1.0,
        sockets_per_tab=sockets / users,
        handshakes_per_page=connects / max(1, pages + saves),
        pages_per_user_minute=pages / seconds / users * 60,
        saves_per_user_minute=saves / seconds / users * 60,
        editing_share=held["sockets"].get(EDIT, 0.0) / users,
        ticket_share=1.0,
        present_share=sum(handshakes.get(path, 0) for path in (USERS, READ, EDIT)) / connects,
        query_share=sum(handshakes.get(path, 0) for path in (READ, EDIT)) / connects,
        logins_per_second=held["pages"].get("POST /login/", 0) / seconds,
        topic=topics,
        wanted=WANTED,
        machine=Machine(MEMORY_MIB, OPEN_FILES, MBIT, MBIT, CORES, MBIT, CORES, _shared(run, since=since, until=until)),
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


def toml_of(workload: Workload, about: str, unknown: Sequence[str] = ()) -> str:
    """Return the workload as a file to edit and to plan with, with the example's objectives and machines."""
    example = Workload.read()
    lines = [f"# {about}", "# Objectives and machines are the example's: edit them."]
    lines += [f"# Not in it, because the audience is unknown: {name}" for name in unknown]
    lines += ["", *_values(workload)]
    for topic in workload.topic:
        lines += ["", "[[topic]]", *_values(topic)]
    for name in ("wanted", "machine"):
        lines += ["", f"[{name}]", *_values(getattr(example, name))]
    return "\n".join([*lines, ""])


def main(path: Path, run: Mapping[str, Any]) -> str:
    """Return the file of the run's workload."""
    try:
        return _file_of(path, run)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise WorkloadError(f"{path}: the report has another form: {error!r}") from error


def _file_of(path: Path, run: Mapping[str, Any]) -> str:
    unknown = sorted(run["series"]["deliveries"].keys() - EVENTS.keys())
    if not run["series"]["deliveries"].keys() & EVENTS.keys():
        events = ", ".join(unknown) or "none"
        raise WorkloadError(
            f"{path}: its events ({events}) are none of the dashboard, so that their audience is unknown: write"
            " the workload of another product by hand, as capacity/workload.toml"
        )
    # A save causes an event, so a plan for more users must have more of them; states are coalesced.
    workload = workload_of(run)
    topics = [dataclasses.replace(topic, grows_with_users=topic.kind == "stream") for topic in workload.topic]
    about = f"Made from {path.name} of {run['configuration']['date']}, {run['title']}: its users, all of them live."
    return toml_of(dataclasses.replace(workload, topic=topics), about, unknown)


def _values(part: Any) -> list[str]:
    """Return lines of TOML for the numbers, texts and booleans of a part; its tables follow later."""
    lines = []
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, bool):
            lines.append(f"{field.name} = {str(value).lower()}")
        elif isinstance(value, int):
            lines.append(f"{field.name} = {value}")
        elif isinstance(value, float):
            lines.append(f"{field.name} = {value:.6g}")
        elif isinstance(value, str):
            lines.append(f'{field.name} = "{value}"')
    return lines
