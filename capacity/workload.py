"""The workload and the limits of its machines, as their file defines them. Computes no plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field
from pydantic.dataclasses import dataclass

from capacity.inputs import CHECKED, Amount, Count, Full, Positive, Share, Text, Yes, read_as, tables_of

WORKLOAD = Path(__file__).with_name("workload.toml")

Kind = Annotated[Literal["stream", "state"], Field(description='"stream" or "state"')]


@dataclass(frozen=True, config=CHECKED)
class Topic:
    """A topic. `audience_share` is the share of all sockets that subscribe to it."""

    name: Text
    kind: Kind
    events_per_second: Amount
    event_bytes: Count
    audience_share: Share
    # Whether the number of events grows with the users, as that of events which each user causes.
    grows_with_users: Yes = False


@dataclass(frozen=True, config=CHECKED)
class Wanted:
    """The objectives. `max_utilization` is the greatest use of any resource: at 0.6, 60 % of it may be in use."""

    delivery_p95_ms: Positive
    max_utilization: Full


@dataclasses.dataclass(frozen=True)
class Shared:
    """A machine that all processes share, and its other work, such as a load test that reads events."""

    cores: int
    others_cores: float
    others_delivery_us: float


@dataclass(frozen=True, config=CHECKED)
class Machine:
    """The capacity of a node, of Redis, of nginx and of all web processes together.

    Each process can use a core of its own unless a machine is shared.
    """

    node_memory_mib: Positive
    node_open_files: Count
    node_mbit_per_second: Positive
    redis_mbit_per_second: Positive
    nginx_cores: Positive
    nginx_mbit_per_second: Positive
    web_cores: Positive
    shared: Shared | None = None


@dataclass(frozen=True, config=CHECKED)
class Workload:
    users: Count
    tabs_per_user: Positive
    sockets_per_tab: Positive
    # Includes the handshakes of phones that return without a page.
    handshakes_per_page: Amount
    pages_per_user_minute: Amount
    saves_per_user_minute: Amount
    # Share of the users with an open form that only they may save.
    editing_share: Share
    # Shares of the handshakes: with a valid ticket; of sockets by which a user is present; with a database query.
    ticket_share: Share
    present_share: Share
    query_share: Share
    logins_per_second: Amount
    topic: Annotated[Sequence[Topic], Field(description="a list of [[topic]] tables")]
    wanted: Annotated[Wanted, Field(description="a table [wanted]")]
    machine: Annotated[Machine, Field(description="a table [machine]")]

    @classmethod
    def read(cls, path: Path = WORKLOAD) -> Self:
        """Read a file. Raises `WorkloadError`."""
        return read_as(cls, tables_of(path), path)

    @property
    def sockets(self) -> float:
        return self.users * self.tabs_per_user * self.sockets_per_tab

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
        return sum(topic.events_per_second * topic.audience_share for topic in self.topic) * self.sockets

    def grown_to(self, users: int) -> Self:
        """Return the workload of more users: their actions grow with them, and topics with `grows_with_users`."""
        share = users / self.users
        topics = [
            dataclasses.replace(
                topic, events_per_second=topic.events_per_second * (share if topic.grows_with_users else 1.0)
            )
            for topic in self.topic
        ]
        logins = self.logins_per_second * share
        return dataclasses.replace(self, users=users, topic=topics, logins_per_second=logins)
