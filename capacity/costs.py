"""The measured costs, their spread, and the errors of the model in held-out runs, as their files define them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field
from pydantic.dataclasses import dataclass

from capacity.inputs import CHECKED, Amount, Positive, Share, WorkloadError, read_as, tables_of

COSTS = Path(__file__).with_name("costs.toml")
ERRORS = Path(__file__).with_name("errors.toml")


class CalibrateError(Exception):
    """Costs cannot be measured here: a requirement is missing, or a request was refused."""


@dataclass(frozen=True, config=CHECKED)
class Costs:
    """Costs. Names have their units. Seconds are of CPU, `_cores` are cores in use; the rest is of one action.

    `delivery_us` is by the number of sockets on a node.
    """

    delivery_us: Annotated[Mapping[int, Amount], Field(min_length=1, description="a table: sockets = microseconds")]
    # Of a ws node: at rest; for an open socket in a second; for a handshake of each kind, which is on top of the first
    # two; for an event that it receives and a version that it reads; for a user that edits, in a second.
    rest_cores: Amount
    socket_us_per_second: Amount
    connect_ticket_ms: Amount
    connect_session_ms: Amount
    present_ms: Amount
    query_ms: Amount
    receive_event_ms: Amount
    read_version_ms: Amount
    editor_us_per_second: Amount
    # A handshake if many come at once, as in incidents.
    storm_connect_ms: Amount
    socket_kib: Amount
    node_base_mib: Amount
    # Of Redis.
    redis_rest_cores: Amount
    redis_cores_per_node: Amount
    redis_present_us: Amount
    redis_page_us: Amount
    redis_editor_us_per_second: Amount
    stream_event_us: Amount
    hint_us: Amount
    hint_us_per_node: Amount
    redis_read_version_us: Amount
    nginx_socket_us_per_second: Amount
    nginx_connect_ms: Amount
    nginx_delivery_us: Amount
    nginx_page_ms: Amount
    page_ms: Amount
    save_ms: Amount
    login_ms: Amount
    # From an event's own timestamp to its arrival at a client, without any other work.
    base_p95_ms: Amount
    packet_overhead_bytes: Amount
    # Half of the difference between the rounds of a calibration, as a share of the cost, by its name.
    spread: Annotated[Mapping[str, Share], Field(description="a table: cost = share")] = dataclasses.field(
        default_factory=dict
    )

    @classmethod
    def read(cls, path: Path = COSTS) -> Self:
        """Read a file. Raises `WorkloadError`."""
        tables = tables_of(path)
        own = {name: tables.pop(name) for name in ("delivery_us", "spread") if name in tables}
        if isinstance(by_sockets := own.get("delivery_us"), dict):
            own["delivery_us"] = {_sockets(name, path): us for name, us in by_sockets.items()}
        parts: dict[str, Any] = {}
        for name, part in tables.items():
            parts |= part if isinstance(part, dict) else {name: part}
        costs = read_as(cls, own | parts, path)
        known = {field.name for field in dataclasses.fields(cls)} - {"spread"}
        if unknown := sorted(costs.spread.keys() - known):
            raise WorkloadError(f"{path}: spread.{unknown[0]} is unknown: expected the name of a cost")
        return costs

    def delivery_at(self, sockets: float) -> float:
        """Interpolate between the measured sizes; beyond them, return the nearest size's value."""
        known = sorted(self.delivery_us.items())
        for (low, cheap), (high, dear) in itertools.pairwise(known):
            if low <= sockets <= high:
                return cheap + (dear - cheap) * (sockets - low) / (high - low)
        return known[0][1] if sockets < known[0][0] else known[-1][1]

    def times(self, name: str, factor: float) -> Self:
        """Return the same with this cost multiplied."""
        value = getattr(self, name)
        more = {at: us * factor for at, us in value.items()} if isinstance(value, Mapping) else value * factor
        changed: dict[str, Any] = {name: more}
        return dataclasses.replace(self, **changed)


Ratios = Annotated[Sequence[Positive], Field(min_length=2, description="a list of at least two numbers above 0")]


@dataclass(frozen=True, config=CHECKED)
class Errors:
    """Measured divided by predicted, of each run that neither costs nor model were fitted on, by figure."""

    ws_cores: Ratios
    ws_memory_mib: Ratios
    web_cores: Ratios
    redis_cores: Ratios
    nginx_cores: Ratios
    delivery_p95_ms: Ratios

    @classmethod
    def read(cls, path: Path = ERRORS) -> Self:
        """Read a file. Raises `WorkloadError`."""
        return read_as(cls, tables_of(path), path)


def _sockets(name: str, path: Path) -> int:
    if not name.isdigit():
        raise WorkloadError(f"{path}: delivery_us.{name} is unknown: expected a number of sockets")
    return int(name)


COST_NAMES = tuple(field.name for field in dataclasses.fields(Costs) if field.name != "spread")
