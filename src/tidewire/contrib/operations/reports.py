"""Nodes' reports in Redis, and pending commands for nodes. Both expire unless they are renewed."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from tidewire.conf import settings
from tidewire.redis.clients import redis_client, script
from tidewire.redis.keys import Keys

# The state topic that shows the reports.
TOPIC_NAME = "operations"

# A report is renewed twice a second; a node without a report for this long counts as silent.
SILENT_SECONDS = 3.0
# A dead node remains listed for this long, so that staff can see which node was lost.
LIFE_SECONDS = 30.0
# A node asks twice a second, so the node of an older command is gone.
COMMAND_SECONDS = 10.0
# More nodes than a page can usefully show.
NODES_LIMIT = 200

DRAIN = "drain"


class NodeReport(BaseModel):
    """The last report of a node. `run` changes with each start; trails are oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    node: str
    run: str
    state: Literal["listening", "draining", "drained"]
    # Set by the reader: a silent node is dead, stuck or disconnected from Redis.
    silent: bool = False
    up_seconds: int
    connections: int
    users: int
    # The number of sockets at the start of the drain, and the longest time that a drain may take.
    drain_from: int | None = None
    drain_seconds: float
    stale: bool
    backlog_bytes: int
    connects_per_second: float
    closes_per_second: float
    deliveries_per_second: float
    delivery_p99_ms: float | None = None
    lag_p99_ms: float | None = None
    connections_trail: tuple[int, ...] = ()
    deliveries_trail: tuple[float, ...] = ()
    latency_trail: tuple[float, ...] = ()


class Reports:
    """Reports under one prefix. All methods may raise `RedisUnavailable`."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def put(self, report: NodeReport) -> str:
        """Store a node's report. Returns the pending command for it, or an empty text."""
        keys = self._keys
        async with redis_client():
            command = await script("report")(
                keys=[keys.reports, keys.report_times, keys.versions, keys.commands],
                args=[report.run, report.model_dump_json(exclude_none=True), TOPIC_NAME, int(LIFE_SECONDS * 1000)],
            )
        return str(command)

    async def read(self) -> tuple[NodeReport, ...]:
        """Return the last report of each node, by name; those that were not renewed in time are `silent`.

        An ended run is omitted if a newer one has the same name.
        """
        async with redis_client() as redis:
            async with redis.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.zrange(self._keys.report_times, 0, NODES_LIMIT - 1, desc=True, withscores=True)
                (seconds, microseconds), times = await pipe.execute()
            runs = {str(run): at_ms for run, at_ms in times}
            bodies = await redis.hmget(self._keys.reports, list(runs)) if runs else []
        silent_before_ms = seconds * 1000 + microseconds // 1000 - SILENT_SECONDS * 1000
        reports = []
        names = set()
        # Newest first.
        for at_ms, body in zip(runs.values(), bodies, strict=True):
            if body is None:
                continue
            report = NodeReport.model_validate_json(body)
            # The report of a drained node is its last one.
            silent = at_ms < silent_before_ms and report.state != "drained"
            if report.node in names and (silent or report.state == "drained"):
                continue
            names.add(report.node)
            reports.append(report.model_copy(update={"silent": silent}))
        return tuple(sorted(reports, key=lambda report: (report.node, report.run)))

    async def send_command(self, run: str, command: str) -> None:
        """Leave a command for one run of a node: a later run under the same name must not carry it out."""
        async with redis_client() as redis, redis.pipeline(transaction=True) as pipe:
            pipe.hset(self._keys.commands, run, command)
            pipe.pexpire(self._keys.commands, int(COMMAND_SECONDS * 1000))
            await pipe.execute()


def report_store() -> Reports:
    """Return the nodes' reports under the configured prefix."""
    return Reports(Keys(settings().PREFIX))
