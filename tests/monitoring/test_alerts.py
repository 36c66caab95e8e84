"""Every alert that a fault can cause, caused on the real stack, and over again; windows are a thirtieth of the rules'.

The faults go from what heals at once to what takes the stack apart. What no fault here causes is in NOT_CAUSED.
"""

import importlib.util

import pytest

from deploy.grafana.connected import CONNECTED
from deploy.grafana.fanout import FANOUT
from deploy.grafana.operations import OPERATIONS
from deploy.local.layout import ROOT
from tests.monitoring import causes
from tests.monitoring.crowd import Crowd
from tests.monitoring.pictures import draw
from tests.monitoring.story import Story
from tests.monitoring.watched import alerts

PICTURES = ROOT / "docs" / "monitoring"

# Alert -> why no fault here causes it: promtool alone proves it then.
NOT_CAUSED: dict[str, str] = {}

# Each on a stack of its own: the faults, what they must make fire, and the dashboard that shows it best.
STORIES = {
    "sockets": (
        (causes.crowding, causes.losing, causes.knocking, causes.killing, causes.dragging),
        {
            "TidewireConnectionsNearLimit",
            "TidewireImbalance",
            "TidewireReconnectStorm",
            "TidewireAbnormalCloses",
            "TidewireAuthenticationRefusals",
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
            "TidewireHubRestarts",
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
        (causes.joining, causes.losing_tables, causes.locking, causes.blinding),
        {
            "TidewireWebErrors",
            "TidewireRelayStuck",
            "TidewireWebSlow",
            "TidewireNobodyScraped",
            *causes.MISSING,
        },
        OPERATIONS,
    ),
}


@pytest.fixture
def tell(capsys, request):
    """Says a line to whoever waits, past pytest's capture."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")

    def say(line: str) -> None:
        with capsys.disabled():
            reporter.write_line(line)

    return say


@pytest.fixture
def story(watched, tell):
    eyes = watched(ws=2, TIDEWIRE_CONNECTIONS_PER_NODE="150")
    # What fired before the first scrape of all is no fault's.
    assert eyes.wait(lambda: eyes.sees_all() and not eyes.firing(), seconds=60)
    return Story(eyes, tell)


@pytest.mark.parametrize("name", STORIES)
def test_what_a_fault_causes_fires_and_ends(story, name):
    faults, expected, dashboard = STORIES[name]
    crowd = Crowd(story.stack, 50)
    try:
        for fault in faults:
            story.tell(f"{story.seconds:5.0f} s  {fault.__name__}: {fault.__doc__}")
            fault(story, crowd)
        if importlib.util.find_spec("matplotlib"):
            draw(story.eyes, dashboard, PICTURES, seconds=story.seconds)
        assert expected - set(story.fired) == set()
        crowd.close()
        # Nothing is broken any more: all of it ends by itself.
        over = story.eyes.wait(lambda: not story.eyes.firing(), seconds=150)
        assert over, story.eyes.firing()
        story.tell(f"{story.seconds:5.0f} s  all over")
    finally:
        crowd.close()


@pytest.mark.smoke
def test_what_no_fault_here_causes_is_named():
    """With the reason; promtool proves these alone."""
    caused = set().union(*(expected for _faults, expected, _dashboard in STORIES.values()))
    assert caused | set(NOT_CAUSED) == alerts()
    assert not caused & set(NOT_CAUSED)
