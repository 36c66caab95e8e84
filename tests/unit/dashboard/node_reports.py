"""A fake for the nodes' reports in Redis."""

from tidewire.contrib.operations.reports import NodeReport
from tidewire.exceptions import RedisUnavailable


def report(node: str, run: str) -> NodeReport:
    return NodeReport(
        node=node,
        run=run,
        state="listening",
        up_seconds=60,
        connections=12,
        users=5,
        drain_seconds=30.0,
        stale=False,
        backlog_bytes=0,
        connects_per_second=0.0,
        closes_per_second=0.0,
        deliveries_per_second=0.0,
    )


class FakeReports:
    """The methods of `tidewire.contrib.operations.reports.Reports` that a page uses."""

    def __init__(self, *reports: NodeReport) -> None:
        self.reports = list(reports)
        self.commands: dict[str, str] = {}
        self.unavailable = False

    async def read(self) -> tuple[NodeReport, ...]:
        if self.unavailable:
            raise RedisUnavailable("unavailable")
        return tuple(self.reports)

    async def send_command(self, run: str, command: str) -> None:
        self.commands[run] = command
