"""Fan-out reaches all sockets without blocking the event loop for long."""

import asyncio
import itertools

import pytest

from tidewire import metrics
from tidewire.fanout import delivery
from tidewire.fanout.delivery import SLICE_SECONDS, WRITES_PER_CLOCK_READING, fan_out


@pytest.fixture
def clock(monkeypatch):
    """A clock for the fan-out, which its writes advance."""

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

        def time(self) -> float:
            return self.now

    fake_clock = Clock()
    monkeypatch.setattr(delivery, "time", fake_clock)
    return fake_clock


def delivered(topic: str) -> float:
    return metrics.DELIVERED.labels(topic)._value.get()


async def test_everybody_is_written_to_once_and_in_order():
    """Chunks cover all subscriptions, including the last, shorter one."""
    seen: list[int] = []

    def write(chunk):
        seen.extend(chunk)
        return len(chunk)

    await fan_out("talk", range(WRITES_PER_CLOCK_READING * 3 + 5), write)
    assert seen == list(range(WRITES_PER_CLOCK_READING * 3 + 5))


async def test_ten_thousand_sockets_never_hold_the_loop_for_20_ms(clock):
    """Other tasks run at least every 20 ms, although each write takes 20 microseconds."""
    ran_at = [0.0]

    async def other() -> None:
        while True:
            ran_at.append(clock.now)
            await asyncio.sleep(0)

    def write(chunk):
        clock.now += 0.00002 * len(chunk)
        return len(chunk)

    watching = asyncio.ensure_future(other())
    await fan_out("talk", range(10_000), write)
    ran_at.append(clock.now)
    watching.cancel()
    stretches = [after - before for before, after in itertools.pairwise(ran_at)]
    assert 0.19 < sum(stretches) < 0.21
    assert max(stretches) < 0.02
    assert len(stretches) < 0.2 / SLICE_SECONDS + 5, "giving way has its price too"


async def test_a_small_fan_out_does_not_give_way(clock):
    """A fan-out within the limit does not yield to the loop."""
    with pytest.raises(StopIteration):
        fan_out("talk", range(1000), len).send(None)


async def test_deliveries_are_counted_by_family():
    """The label is the topic's family instead of its name, to limit their number. Each event of a write counts."""
    before = delivered("document")
    await fan_out("document", range(10), lambda chunk: 3 * (len(chunk) - 1))
    assert delivered("document") - before == 27
