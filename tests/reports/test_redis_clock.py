"""Clocks of Redis: the clock of a new primary is behind or ahead, or the clock of the host is set."""

import asyncio

import pytest

from tests.redis_servers import Address, Server, why_no_clock
from tests.reports.redis_nodes import GONE_SECONDS, hall, until
from tidewire.contrib.edit_lease import Editor
from tidewire.contrib.edit_lease.feature import EditLeaseFeature
from tidewire.contrib.edit_lease.redis import edit_lease_store
from tidewire.contrib.operations.reports import report_store

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(why_no_clock()), reason=why_no_clock() or "-"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
def servers(tmp_path):
    created: list[Server] = []

    def start(clock_seconds: float) -> Server:
        server = Server(tmp_path / str(len(created)))
        created.append(server)
        server.start(clock_seconds=clock_seconds)
        return server

    yield start
    for server in created:
        server.client.close()
        server.kill()


def clock(server: Server) -> int:
    return server.client.time()[0]


def test_the_clock_of_these_servers_can_be_set(servers):
    """If setting the clock had no effect, the other tests would prove nothing."""
    server = servers(0.0)
    before = clock(server)
    server.step_clock(-40.0)
    assert -41 <= clock(server) - before <= -38
    server.step_clock(+40.0)
    assert 38 <= clock(server) - before <= 42


async def kill(node) -> None:
    """Stop a node without handing over its members, as `kill -9` does."""
    from tidewire.tasks import cancel_all  # noqa: PLC0415

    await cancel_all(node._tasks)
    node.presence.hand_over = _nothing


async def _nothing() -> None:
    pass


@pytest.mark.parametrize("seconds", [-40.0, +40.0], ids=["behind", "ahead"])
@pytest.mark.parametrize("how", ["failover", "set"])
async def test_ghosts_go_in_time_whatever_the_clock_of_redis_does(servers, settings, how, seconds):
    """After a failover to a clock 40 s behind, a colleague with a closed laptop was shown for 49 seconds more.

    One member leaves and one node dies just before. All other members stay.
    """
    first = servers(0.0)
    with Address(first.port) as address:
        async with hall(settings, address.url) as here:
            here.enter("ada", "bob", "eve", "dan")
            await here.wait_until_right()
            second = servers(seconds)
            if how == "failover":
                await asyncio.to_thread(second.follow, first)
            here.leave("ada")
            # The second node's page is of no use any more, and its members have left.
            await kill(here.second)
            here.pages.pop()
            for person in [person for person, node in here.present.items() if node == 1]:
                del here.present[person]
            if how == "failover":
                await asyncio.to_thread(lambda: second.until(lambda: second.client.dbsize() == first.client.dbsize()))
                second.promote()
                address.port = second.port
                first.kill()
            else:
                first.step_clock(seconds)
            await here.heals(
                f"clock {seconds:+.0f} s by {how}", within_seconds=GONE_SECONDS + 0.5, timeout_seconds=12.0
            )


@pytest.mark.parametrize("seconds", [-40.0, +40.0], ids=["behind", "ahead"])
async def test_an_edit_lease_ends_in_time(servers, settings, seconds):
    """After Redis's clock was set, no user could edit for a minute: the lease of a user that had left did not end."""
    server = servers(0.0)
    with Address(server.port) as address:
        async with hall(settings, address.url, EDIT_LEASE_SECONDS=3.0) as here:
            ada, bob = Editor("lease.plan", "ada"), Editor("lease.plan", "bob")
            first, second = (each.feature(EditLeaseFeature).editors for each in (here.first, here.second))
            first.join(ada)
            await until(lambda: server.client.hget("tidewire:edit_lease:lease.plan", "holder") == "ada")
            second.join(bob)
            server.step_clock(seconds)
            first.leave(ada, reconnects=True)
            async with asyncio.timeout(5.0):
                while (await edit_lease_store().read(["lease.plan"]))[0].holder != "bob":  # noqa: ASYNC110
                    await asyncio.sleep(0.02)


async def test_a_dead_node_looks_silent_after_the_clock_was_set_back(servers, settings):
    """Operations showed a node as listening although it had died before the clock of Redis was set back."""
    from tests.integration.tidewire.test_reports import report  # noqa: PLC0415

    server = servers(0.0)
    with Address(server.port) as address:
        async with hall(settings, address.url):
            reports = report_store()
            await reports.put(report("ws-0", "dead"))
            server.step_clock(-40.0)
            async with asyncio.timeout(8.0):
                while [each.silent for each in await reports.read() if each.run == "dead"] != [True]:
                    await reports.put(report("ws-1", "alive"))
                    await asyncio.sleep(0.2)


async def test_versions_grow_while_the_clock_is_behind(servers, settings):
    """A page that compares versions must never mistake a newer value for an older one, and must show every change."""
    server = servers(0.0)
    with Address(server.port) as address:
        async with hall(settings, address.url) as here:
            here.enter("ada")
            await here.wait_until_right()
            server.step_clock(-3600.0)
            for person in ("bob", "eve", "dan"):
                here.enter(person)
                await here.wait_until_right()
            for page in here.pages:
                versions = [event["version"] for event in page.events if event["type"] == "test.here"]
                assert versions == sorted(set(versions))
