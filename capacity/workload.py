"""The workload, its limits and the costs, as their files define them. Computes nothing."""

from __future__ import annotations

import dataclasses
import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
COSTS, WORKLOAD = HERE / "costs.toml", HERE / "workload.toml"


class WorkloadError(Exception):
    """A file lacks a name, has an unknown one, or has an impossible value."""


class CalibrateError(Exception):
    """Costs cannot be measured here: a requirement is missing, or a request was refused."""


@dataclass(frozen=True)
class Topic:
    """A topic. `audience` is the share of all sockets that subscribe to it; `kind` is stream or state."""

    name: str
    kind: str
    events_per_second: float
    bytes: int
    audience: float
    # Whether the number of events grows with the users, as that of events which each user causes.
    grows: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("stream", "state"):
            raise WorkloadError(f"topic {self.name}: kind {self.kind!r} is neither stream nor state")
        if not 0 <= self.audience <= 1:
            raise WorkloadError(f"topic {self.name}: audience {self.audience} is no share")


@dataclass(frozen=True)
class Wanted:
    p95_ms: float
    headroom: float


@dataclass(frozen=True)
class Shared:
    """A machine that all processes share, and its other work, such as a load test that reads events."""

    cores: int
    others_cores: float
    others_delivery_us: float


@dataclass(frozen=True)
class Machine:
    """The capacity of a node and of Redis; each process can use a core of its own unless a machine is shared."""

    node_memory_mib: float
    node_open_files: int
    node_mbit: float
    redis_mbit: float
    shared: Shared | None = None


@dataclass(frozen=True)
class Workload:
    users: int
    tabs: float
    sockets_per_tab: float
    # Includes the handshakes of phones that return without a page.
    handshakes_per_page: float
    pages_per_user_minute: float
    saves_per_user_minute: float
    # Share of the users with an open form that only they may save.
    editing_share: float
    # Shares of the handshakes: with a valid ticket; of sockets by which a user is present; with a database query.
    ticket_share: float
    present_share: float
    query_share: float
    logins_per_second: float
    topic: Sequence[Topic]
    wanted: Wanted
    machine: Machine

    @classmethod
    def read(cls, path: Path = WORKLOAD) -> Self:
        tables = _read(path)
        try:
            topics = [Topic(**each) for each in tables.pop("topic")]
            wanted, machine = Wanted(**tables.pop("wanted")), Machine(**tables.pop("machine"))
            return cls(topic=topics, wanted=wanted, machine=machine, **tables)
        except (TypeError, KeyError) as error:
            raise WorkloadError(f"{path}: {error}") from error

    @property
    def sockets(self) -> float:
        return self.users * self.tabs * self.sockets_per_tab

    @property
    def connects_per_second(self) -> float:
        """A page that is left closes its sockets, and the next opens its own; a save leads to a page too."""
        return (self.pages_per_second + self.saves_per_second) * self.handshakes_per_page

    @property
    def pages_per_second(self) -> float:
        return self.users * self.pages_per_user_minute / 60

    @property
    def saves_per_second(self) -> float:
        return self.users * self.saves_per_user_minute / 60

    @property
    def events_per_second(self) -> float:
        return sum(topic.events_per_second for topic in self.topic)

    @property
    def deliveries_per_second(self) -> float:
        return sum(topic.events_per_second * topic.audience for topic in self.topic) * self.sockets

    def grown_to(self, users: int) -> Self:
        """Return the workload of more users: their actions grow with them, and the events of topics with `grows`."""
        share = users / self.users
        topics = [
            dataclasses.replace(topic, events_per_second=topic.events_per_second * (share if topic.grows else 1.0))
            for topic in self.topic
        ]
        logins = self.logins_per_second * share
        return dataclasses.replace(self, users=users, topic=topics, logins_per_second=logins)


@dataclass(frozen=True)
class Costs:
    """Costs. Names have their units, `_core` is of one core; `delivery_us` is by the number of sockets on a node."""

    delivery_us: Mapping[int, float]
    # Of a ws node: at rest; for an open socket in a second; for a handshake of each kind, which is on top of the first
    # two; for an event that it receives and a version that it reads; for a user that edits, in a second.
    rest_core: float
    socket_us: float
    connect_ticket_ms: float
    connect_session_ms: float
    present_ms: float
    query_ms: float
    receive_ms: float
    read_ms: float
    edit_us: float
    # A handshake if many come at once, as in incidents.
    storm_connect_ms: float
    socket_kib: float
    base_mib: float
    # Of Redis.
    redis_rest_core: float
    redis_node_core: float
    redis_present_us: float
    redis_page_us: float
    redis_edit_us: float
    stream_event_us: float
    publish_us: float
    node_us: float
    redis_read_us: float
    nginx_socket_us: float
    nginx_connect_ms: float
    nginx_delivery_us: float
    nginx_page_ms: float
    page_ms: float
    save_ms: float
    login_ms: float
    # From an event's own timestamp to its arrival at a client, without any other work.
    base_p95_ms: float
    overhead_bytes: float

    @classmethod
    def read(cls, path: Path = COSTS) -> Self:
        tables = _read(path)
        try:
            by_sockets = {int(sockets): float(us) for sockets, us in tables.pop("delivery_us").items()}
            return cls(
                delivery_us=by_sockets, **{name: value for part in tables.values() for name, value in part.items()}
            )
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise WorkloadError(f"{path}: {error}") from error

    def delivery_at(self, sockets: float) -> float:
        """Interpolate between the measured sizes; beyond them, return the nearest size's value."""
        known = sorted(self.delivery_us.items())
        for (low, cheap), (high, dear) in itertools.pairwise(known):
            if low <= sockets <= high:
                return cheap + (dear - cheap) * (sockets - low) / (high - low)
        return known[0][1] if sockets < known[0][0] else known[-1][1]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise WorkloadError(f"{path}: {error}") from error
