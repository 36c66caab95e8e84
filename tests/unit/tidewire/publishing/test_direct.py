"""Publishing at once: the event is appended to the stream before its hint is sent."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tests.unit.tidewire.fakes import Said
from tidewire import metrics
from tidewire.exceptions import RedisUnavailable
from tidewire.publishing.direct import HINT_CHARACTERS, HINT_SECONDS, publish_batch, publish_now
from tidewire.streams import Encoded
from tidewire.testing import MemoryStreams

EVENT = Said(id=UUID(int=1), text="hello")


class Layer:
    """Messages sent to groups, with their times. May fail for a while."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, str, dict[str, Any]]] = []
        self.failures = 0

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionResetError("a pooled connection that Redis closed")
        self.sent.append((asyncio.get_running_loop().time(), group, message))


@pytest.fixture
def layer():
    return Layer()


@pytest.fixture
def streams():
    return MemoryStreams()


def published(result: str) -> float:
    return metrics.PUBLISHED.labels("talk", result)._value.get()


async def test_an_event_is_appended_and_hinted_at(layer, streams):
    """The hint contains the event, so that hubs need not read it."""
    appended = await publish_now(EVENT, streams=streams, layer=layer, prefix="p")
    assert appended.position == streams.end("talk")
    [(_, group, hint)] = layer.sent
    assert group == "p.talk"
    assert hint.pop("published") > 0
    at = appended.position
    assert hint == {
        "type": "tidewire.hint",
        "topic": "talk",
        "epoch": at.epoch,
        "offset": at.offset,
        "after": "",
        "marks": [at.mark],
        "bodies": [EVENT.encode()],
    }


async def test_an_offset_is_redis_s_to_assign(layer, streams):
    """An event's own offset is ignored."""
    await publish_now(EVENT.model_copy(update={"offset": 99}), streams=streams, layer=layer, prefix="p")
    assert layer.sent[0][2]["bodies"] == [EVENT.encode()]


async def test_a_repeat_is_not_hinted_at(layer, streams):
    """Nodes that received the first hint have the event; the check heals the others."""
    new, repeated = published("new"), published("repeated")
    for _ in range(2):
        await publish_now(EVENT, streams=streams, layer=layer, prefix="p")
    assert len(layer.sent) == 1
    assert (published("new") - new, published("repeated") - repeated) == (1, 1)


async def test_without_redis_nothing_is_hinted_at(layer, streams):
    """The caller receives an exception, because the event is not published."""
    streams.unavailable = True
    with pytest.raises(RedisUnavailable):
        await publish_now(EVENT, streams=streams, layer=layer, prefix="p")
    assert layer.sent == []


@pytest.mark.parametrize(("failures", "sent"), [(1, 1), (2, 0)])
async def test_a_hint_is_tried_twice_and_never_fails_the_publishing(layer, streams, failures, sent):
    """The stream has the event, so a lost hint only delays it."""
    layer.failures = failures
    dropped = metrics.DROPPED.labels("hint")._value.get()
    assert (await publish_now(EVENT, streams=streams, layer=layer, prefix="p")).new
    assert len(layer.sent) == sent
    assert metrics.DROPPED.labels("hint")._value.get() - dropped == 1 - sent


async def test_a_layer_that_stands_still_holds_up_no_publishing(layer, streams):
    """The event is in the stream, so its hint may be dropped."""

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    layer.group_send = never
    begin = asyncio.get_running_loop().time()
    assert (await publish_now(EVENT, streams=streams, layer=layer, prefix="p")).new
    assert asyncio.get_running_loop().time() - begin <= HINT_SECONDS + 0.01


async def test_a_batch_is_one_hint_for_each_topic(layer, streams):
    """The hint contains only new events, in their order, because hubs do not need repeats."""
    words = [Encoded.of(Said(id=UUID(int=number), text=str(number))) for number in (1, 2, 3)]
    await publish_batch({"talk": words[:1]}, streams=streams, layer=layer, prefix="p")
    other = [Encoded.of(Said(topic="other", id=UUID(int=9), text="9"))]
    await publish_batch({"talk": words, "other": other}, streams=streams, layer=layer, prefix="p")
    hints = {(hint["topic"], hint["offset"]): hint["bodies"] for _, _, hint in layer.sent}
    assert hints == {
        ("talk", 1): [words[0].body],
        ("talk", 2): [words[1].body, words[2].body],
        ("other", 1): [other[0].body],
    }


async def test_large_events_are_hinted_at_one_by_one(layer, streams):
    """A layer's message must be small, whatever the size of the batch."""
    words = [Encoded.of(Said(id=UUID(int=number), text="x" * HINT_CHARACTERS)) for number in (1, 2)]
    await publish_batch({"talk": words}, streams=streams, layer=layer, prefix="p")
    assert [(hint["offset"], len(hint["bodies"])) for _, _, hint in layer.sent] == [(1, 1), (2, 1)]
