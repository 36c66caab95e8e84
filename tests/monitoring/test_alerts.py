"""Every alert that a fault can cause, caused on the real stack, and over again; windows are a thirtieth of the rules'.

The faults go from what heals at once to what takes the stack apart. What no fault here causes is in NOT_CAUSED.
"""

import importlib.util
import os
import signal
import threading
import time

import pytest
import yaml

from deploy.grafana.connected import CONNECTED
from deploy.grafana.fanout import FANOUT
from deploy.grafana.operations import OPERATIONS
from deploy.local.layout import ROOT
from tests.monitoring.crowd import Crowd
from tests.monitoring.pictures import draw
from tests.pages import fetch

PICTURES = ROOT / "docs" / "monitoring"

NOT_CAUSED = {
    "TidewireHubRestarts": "it takes a bug",
    "TidewireDrainSlow": "a drain ends in time here, whatever its clients do",
    "TidewireSlowConsumers": "six readers a quarter of a megabyte behind: tests/unit/tidewire/test_node.py cuts them",
    "TidewireDeliveryLateSlow": "fires beside TidewireDeliveryLateFast where that lasts; nothing here waits for it",
    "TidewireNobodyScraped": "the `up` of a job that was taken out lives on for five minutes, whatever the rule's span",
    "TidewireWebSlow": "promtool alone proves it",
}
# An alert waits for its window, a scrape, an evaluation and its `for`; a loaded machine for more.
FIRES_SECONDS = 45.0
# In the middle of a storm's return.
RETURNING_SECONDS = 0.4

LEAVE_ONE_BEHIND = """
import django
django.setup()
from datetime import timedelta
from django.utils import timezone
from tidewire.models import OutboxEvent
row = OutboxEvent.objects.create(event_id="left", topic="notifications", type="test.left", body="{}")
OutboxEvent.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(minutes=2))
"""
TAKE_IT_AWAY = """
import django
django.setup()
from tidewire.models import OutboxEvent
OutboxEvent.objects.filter(event_id="left").delete()
"""


class Story:
    """What fired, in order, with what it said."""

    def __init__(self, eyes, tell) -> None:
        self.eyes = eyes
        self.tell = tell
        self.began = time.monotonic()
        self.fired: dict[str, str] = {}

    def look(self) -> None:
        for name, summary in self.eyes.firing().items():
            if name not in self.fired:
                self.fired[name] = summary
                self.tell(f"  {name}: {summary}")

    def until(self, *names: str, seconds: float = FIRES_SECONDS) -> None:
        """Goes on until these have fired; which have not, in time, is known at the end."""

        def have() -> bool:
            self.look()
            return set(names) <= set(self.fired)

        self.eyes.wait(have, seconds=seconds)


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
    return Story(eyes, tell)


def alerts() -> set[str]:
    return {
        rule["alert"]
        for path in (ROOT / "deploy" / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


def crowding(story, crowd) -> None:
    """130 of 150 on one node: near its limit, and lopsided."""
    first, second = (f"ws://127.0.0.1:{node.port}" for node in story.eyes.stack.ws)
    crowd.join(30, at=first)
    crowd.join(130, at=second)
    crowd.write(3)
    story.until("TidewireConnectionsNearLimit", "TidewireImbalance", seconds=90)


def joining(_story, crowd) -> None:
    """Sixty sockets over both nodes, and a few events."""
    crowd.join(60)
    crowd.write(3)


def losing(story, crowd) -> None:
    """All sockets at once, as when a proxy is restarted; all come back."""
    crowd.lose()
    story.until("TidewireReconnectStorm", "TidewireAbnormalCloses")


def knocking(story, crowd) -> None:
    """Four hundred handshakes of nobody."""
    knocks = threading.Thread(target=crowd.knock, args=(400,), daemon=True)
    knocks.start()
    story.until("TidewireAuthenticationRefusals")
    knocks.join(60)


def stuttering(story, crowd) -> None:
    """Both nodes stand still for most of each second, while documents are written."""
    stop = threading.Event()
    stutters = [threading.Thread(target=_stutter, args=(node.pid, stop), daemon=True) for node in story.eyes.stack.ws]
    for stutter in stutters:
        stutter.start()
    end = time.monotonic() + FIRES_SECONDS
    while not {"TidewireLoopLag", "TidewireDeliveryLateFast"} <= set(story.fired) and time.monotonic() < end:
        crowd.write(1)
        story.look()
    stop.set()
    for stutter in stutters:
        stutter.join(10)


def owing(story, _crowd) -> None:
    """An event was committed two minutes ago, and nobody publishes it."""
    stack = story.eyes.stack
    stack.stop("relay")
    stack.run("-c", LEAVE_ONE_BEHIND)
    story.until("TidewireOutboxStuck")
    stack.run("-c", TAKE_IT_AWAY)
    stack.start("relay")


def losing_redis(story, crowd) -> None:
    """Redis goes while people come and go, so that announcements are lost; it comes back empty, again and again."""
    eyes, stack = story.eyes, story.eyes.stack
    crowd.lose()
    time.sleep(RETURNING_SECONDS)
    stack.stop("redis", signal.SIGKILL)
    story.until("TidewireStale", "TidewireRedisErrors")
    for _ in range(5):
        stack.start("redis")
        crowd.lose()
        eyes.wait(lambda: not eyes.query("sum(tidewire_stale) > 0"), seconds=10)
        story.look()
        stack.stop("redis", signal.SIGKILL)
        eyes.wait(lambda: bool(eyes.query("sum(tidewire_stale) > 0")), seconds=10)
    stack.start("redis")
    story.until("TidewireRedisReconnects", "TidewireResumeGaps", "TidewireDropped", seconds=20)
    eyes.wait(lambda: not eyes.query("sum(tidewire_stale) > 0"), seconds=20)


def losing_the_database(story, crowd) -> None:
    """An empty one in its place: every page is an error."""
    database = story.eyes.stack.layout.var / "tidewire.sqlite3"
    away = database.with_suffix(".away")
    database.rename(away)
    end = time.monotonic() + FIRES_SECONDS
    while "TidewireWebErrors" not in story.fired and time.monotonic() < end:
        fetch(f"{story.eyes.stack.url}/", headers={"Cookie": crowd.cookies[0]})
        story.look()
    away.rename(database)


def blinding(story, _crowd) -> None:
    """A metric that no scrape brings."""
    story.eyes.configure(dropped="tidewire_users")
    story.until("TidewireMetricMissing")
    story.eyes.configure()


def killing(story, _crowd) -> None:
    """Kill -9 of a node with sockets and members."""
    stack = story.eyes.stack
    stack.stop_ws(0, signal.SIGKILL)
    story.until("TidewireSocketsGone", "TidewireScrapeMissing", "TidewireGhosts")
    stack.start_ws(0)


def _stutter(pid: int, stop: threading.Event) -> None:
    while not stop.is_set():
        os.kill(pid, signal.SIGSTOP)
        stop.wait(0.6)
        os.kill(pid, signal.SIGCONT)
        stop.wait(0.4)


# Each on a stack of its own: the faults, what they must make fire, and the dashboard that shows it best.
STORIES = {
    "sockets": (
        (crowding, losing, knocking, killing),
        {
            "TidewireConnectionsNearLimit",
            "TidewireImbalance",
            "TidewireReconnectStorm",
            "TidewireAbnormalCloses",
            "TidewireAuthenticationRefusals",
            "TidewireSocketsGone",
            "TidewireScrapeMissing",
            "TidewireGhosts",
        },
        CONNECTED,
    ),
    "delivery": (
        (joining, stuttering, owing, losing_redis),
        {
            "TidewireLoopLag",
            "TidewireDeliveryLateFast",
            "TidewireOutboxStuck",
            "TidewireStale",
            "TidewireRedisErrors",
            "TidewireRedisReconnects",
            "TidewireResumeGaps",
            "TidewireDropped",
        },
        FANOUT,
    ),
    "pages": (
        (joining, losing_the_database, blinding),
        {"TidewireWebErrors", "TidewireMetricMissing"},
        OPERATIONS,
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_what_a_fault_causes_fires_and_ends(story, name):
    faults, expected, dashboard = STORIES[name]
    crowd = Crowd(story.eyes.stack, 50)
    try:
        for fault in faults:
            fault(story, crowd)
        if importlib.util.find_spec("matplotlib"):
            draw(story.eyes, dashboard, PICTURES, seconds=time.monotonic() - story.began)
        assert expected - set(story.fired) == set()
        crowd.close()
        # Nothing is broken any more: all of it ends by itself.
        over = story.eyes.wait(lambda: not story.eyes.firing(), seconds=150)
        assert over, story.eyes.firing()
    finally:
        crowd.close()


def test_what_no_fault_here_causes_is_named():
    """With the reason; promtool proves these alone."""
    caused = set().union(*(expected for _faults, expected, _dashboard in STORIES.values()))
    assert caused | set(NOT_CAUSED) == alerts()
    assert not caused & set(NOT_CAUSED)
