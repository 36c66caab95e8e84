"""The report of a node about itself, and commands that it must follow once."""

import asyncio
from types import SimpleNamespace

import pytest

from tests.unit.tidewire.fakes import FakeWriter
from tidewire.contrib.operations.reporter import REPORT_SECONDS, TRAIL_LENGTH, WINDOW, Reporter
from tidewire.contrib.operations.reports import DRAIN
from tidewire.exceptions import RedisUnavailable


class FakeReports:
    """Records reports. Returns the pending command, or raises the error of an unavailable Redis."""

    def __init__(self) -> None:
        self.put_reports = []
        self.command = ""
        self.unavailable = False

    async def put(self, report):
        if self.unavailable:
            raise RedisUnavailable("unavailable")
        self.put_reports.append(report)
        return self.command

    @property
    def last(self):
        return self.put_reports[-1]


class Scene:
    def __init__(self, here) -> None:
        self.here = here
        self.reports = FakeReports()
        self.drainer = SimpleNamespace(state="listening", ready=True, draining=False)
        self.drains = 0
        self.reporter = Reporter(here, self.drainer, self.reports, start_drain=self.start_drain)

    def start_drain(self) -> None:
        self.drains += 1
        self.drainer.state, self.drainer.ready, self.drainer.draining = "draining", False, True

    def connect(self, user):
        return self.here.connect(FakeWriter(), consumer="Test", user=user, session="", close=lambda _code: None)


@pytest.fixture
async def scene(here):
    return Scene(here)


async def test_a_report_counts_sockets_and_distinct_users(scene):
    """A user with two tabs is one user."""
    for user in ("1", "1", "2"):
        scene.connect(user)
    await scene.reporter.report()
    report = scene.reports.last
    assert (report.node, report.state, report.connections, report.users) == (scene.here.name, "listening", 3, 2)


async def test_a_trail_has_a_point_for_every_window_and_an_end(scene):
    """The trail covers five minutes, the newest value last."""
    for count in range(TRAIL_LENGTH + 5):
        for _ in range(WINDOW):
            await scene.reporter.report()
        assert len(scene.reports.last.connections_trail) == min(count + 1, TRAIL_LENGTH)
        scene.connect(str(count))
    assert scene.reports.last.connections_trail == tuple(range(5, TRAIL_LENGTH + 5))


async def test_an_order_to_drain_is_obeyed_once(scene):
    """The command remains in Redis for a while, and is returned with each report."""
    scene.reports.command = DRAIN
    for _ in range(3):
        await scene.reporter.report()
    assert scene.drains == 1


async def test_another_order_is_not_obeyed(scene):
    """A node must follow only commands that its version knows."""
    scene.reports.command = "explode"
    await scene.reporter.report()
    assert scene.drains == 0


async def test_a_drain_is_measured_from_what_there_was_before_it(scene):
    """Sockets that close between two reports must count as closed by the drain."""
    connections = [scene.connect("1") for _ in range(3)]
    await scene.reporter.report()
    scene.start_drain()
    scene.here.disconnect(connections[0])
    await scene.reporter.report()
    assert (scene.reports.last.drain_from, scene.reports.last.connections) == (3, 2)


async def test_it_reports_again_when_redis_is_back(scene):
    """An outage must not end the reports."""
    scene.reports.unavailable = True
    running = asyncio.ensure_future(scene.reporter.run())
    await asyncio.sleep(3 * REPORT_SECONDS)
    assert scene.reports.put_reports == []
    scene.reports.unavailable = False
    await asyncio.sleep(2 * REPORT_SECONDS)
    running.cancel()
    assert 1 <= len(scene.reports.put_reports) <= 3
