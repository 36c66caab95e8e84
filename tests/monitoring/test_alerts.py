"""Every alert must fire after its fault on the real stack, and end after it; windows are a thirtieth of the rules'.

The faults are in order, from those that heal at once to those that stop parts of the stack. NOT_CAUSED lists alerts
without a fault.
"""

import importlib.util

import pytest

from deploy.grafana.connected_dashboard import CONNECTED
from deploy.grafana.fanout_dashboard import FANOUT
from deploy.grafana.operations_dashboard import OPERATIONS
from deploy.local.layout import ROOT
from tests.monitoring import causes
from tests.monitoring.monitored_users import Crowd
from tests.monitoring.pictures import draw
from tests.monitoring.story import Story
from tests.monitoring.watched import alerts

PICTURES = ROOT / "docs" / "monitoring"

EXPORTER = "its exporter runs only with the containers"
# Alert -> the reason why no fault here causes it. Only promtool then tests it.
NOT_CAUSED: dict[str, str] = {
    **{f"Tidewire{name}": EXPORTER for name in ("SiteDown", "NginxDown", "PostgresDown", "RedisDown")},
    **{f"Tidewire{name}": EXPORTER for name in ("PostgresConnections", "RedisMemory", "RedisFull")},
    **{f"Tidewire{name}": EXPORTER for name in ("DiskLow", "DiskFull", "CertificateEnds")},
    "TidewireCrashLoop": "a thirtieth of its ten minutes has no room for four starts of a node",
    "TidewireReplicasMissing": "a thirtieth of its hour is longer than a story",
    "TidewireWatchdog": "it always fires",
}

# Stories with a stack of their own each: the faults, the alerts that must fire, and the dashboard that shows them best.
STORIES = {
    "sockets": (
        (causes.crowding, causes.losing, causes.knocking, causes.killing, causes.hanging, causes.dragging),
        {
            "TidewireConnectionsNearLimit",
            "TidewireImbalance",
            "TidewireReconnectStorm",
            "TidewireAbnormalCloses",
            "TidewireAuthenticationRefusals",
            "TidewireNodeLost",
            "TidewireSocketsGone",
            "TidewireScrapeMissing",
            "TidewireGhosts",
            "TidewireDrainSlow",
        },
        CONNECTED,
    ),
    "delivery": (
        (
            *(causes.joining, causes.stuttering, causes.refusing, causes.misleading, causes.stalling),
            *(causes.owing, causes.losing_redis),
        ),
        {
            "TidewireLoopLag",
            "TidewireDeliveryLateFast",
            "TidewireDeliveryLateSlow",
            "TidewireDropped",
            "TidewireTaskRestarts",
            "TidewireSlowConsumers",
            "TidewireOutboxStuck",
            "TidewireStale",
            "TidewireRedisErrors",
            "TidewireRedisReconnects",
            "TidewireResumeGaps",
        },
        FANOUT,
    ),
    "pages": (
        (causes.joining, causes.losing_tables, causes.locking, causes.forgetting, causes.blinding),
        {
            "TidewireWebErrors",
            "TidewireSavesFail",
            "TidewireSessionsMissing",
            "TidewireRelayStuck",
            "TidewireWebSlow",
            "TidewireNoTargets",
            "TidewireMetricMissing",
        },
        OPERATIONS,
    ),
}


@pytest.fixture
def note(capsys, request):
    """Writes a line of progress to the terminal, past pytest's capture."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")

    def write(line: str) -> None:
        with capsys.disabled():
            reporter.write_line(line)

    return write


@pytest.fixture
def story(watched, note):
    eyes = watched(ws=2, TIDEWIRE_CONNECTIONS_PER_NODE="150")
    # Alerts that fire before the first complete scrape are not caused by a fault.
    assert eyes.wait(lambda: eyes.sees_all() and not eyes.firing(), seconds=60)
    return Story(eyes, note)


@pytest.mark.parametrize("name", STORIES)
def test_what_a_fault_causes_fires_and_ends(story, name):
    faults, expected, dashboard = STORIES[name]
    crowd = Crowd(story.stack, 50)
    try:
        for fault in faults:
            story.note(f"{story.seconds:5.0f} s  {fault.__name__}: {fault.__doc__}")
            fault(story, crowd)
        if importlib.util.find_spec("matplotlib"):
            draw(story.eyes, dashboard, PICTURES, seconds=story.seconds)
        assert expected - set(story.fired) == set()
        crowd.close()
        # All parts are repaired, so all alerts must end.
        all_ended = story.eyes.wait(lambda: not story.eyes.firing(), seconds=150)
        assert all_ended, story.eyes.firing()
        story.note(f"{story.seconds:5.0f} s  all over")
    finally:
        crowd.close()


@pytest.mark.smoke
def test_what_no_fault_here_causes_is_named():
    """Each must have a reason; only promtool tests these alerts."""
    caused = set().union(*(expected for _faults, expected, _dashboard in STORIES.values()))
    assert caused | set(NOT_CAUSED) == alerts()
    assert not caused & set(NOT_CAUSED)
