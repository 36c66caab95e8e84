"""Events have the same size on the wire with every server."""

import json
import subprocess
import sys

import pytest

from bench import tick_events
from bench.event_publisher import padded
from bench.measure_fanout import EVENT_BYTES
from bench.tick_events import Tick, commit_tick, publish_tick
from dashboard.topics import NOTIFICATIONS


@pytest.mark.parametrize("n", [0, 9, 12_345])
def test_padded_event_has_its_size_as_it_is_written(n):
    compact = padded(n, EVENT_BYTES, compact=True, type="tick")
    spaced = padded(n, EVENT_BYTES, compact=False, type="tick")
    assert len(json.dumps(compact, separators=(",", ":"))) == EVENT_BYTES
    assert len(json.dumps(spaced)) == EVENT_BYTES


def test_event_larger_than_its_size_is_left_as_it_is():
    assert padded(1, 10, compact=True)["pad"] == ""


@pytest.mark.parametrize("size", [EVENT_BYTES, 4096])
async def test_tick_has_its_size_with_the_offset_and_the_mark_that_the_hub_adds(monkeypatch, size):
    published = []

    async def publish(event, **_):
        published.append(event)

    monkeypatch.setattr(tick_events, "publish_now", publish)
    monkeypatch.setattr(tick_events, "get_channel_layer", lambda: None)
    await publish_tick(41, size)
    [tick] = published
    assert isinstance(tick, Tick)
    assert (tick.topic, tick.n) == (NOTIFICATIONS.name, 41)
    assert len('{"offset":42,"mark":"0123456789ab",' + tick.encode()[1:]) == size


async def test_outbox_has_the_event_with_the_commit(monkeypatch):
    """The product's way: within a transaction, and the publisher is another one."""
    published = []

    class Transaction:
        def __enter__(self):
            published.append("begin")

        def __exit__(self, *_):
            published.append("commit")

    monkeypatch.setattr(tick_events, "publish", lambda topic, event: published.append((topic, event.n)))
    monkeypatch.setattr(tick_events.transaction, "atomic", Transaction)
    await commit_tick(41, EVENT_BYTES)
    assert published == ["begin", (NOTIFICATIONS.name, 41), "commit"]


def test_log_of_a_publisher_is_no_answer():
    """The product logs to standard output, on which the bench waits for answers."""
    script = """
import asyncio
from bench import event_publisher
async def publish(n, size):
    print("a line of a log", flush=True)
event_publisher.KINDS["test"] = lambda: publish
asyncio.run(event_publisher.main("test"))
"""
    command = json.dumps({"first": 0, "count": 2, "bytes": 160}) + "\n"
    done = subprocess.run(
        [sys.executable, "-c", script], input=command, capture_output=True, text=True, timeout=60.0, check=True
    )
    assert [json.loads(line)["published"] for line in done.stdout.splitlines()] == [2]
    assert done.stderr.count("a line of a log") == 2
