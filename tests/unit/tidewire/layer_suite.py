"""The requirements on a channel layer, as tests that run with the tests' own layer and with those of channels_redis."""

import asyncio

from tidewire.hints import HINT
from tidewire.publishing.direct import HINT_CHARACTERS

WAIT_SECONDS = 10.0


def hint(number: int) -> dict[str, object]:
    return {"type": HINT, "topic": "talk", "offset": number, "after": "", "marks": ["ab"], "bodies": ['{"a":"ü"}']}


class LayerSuite:
    """Subclasses must provide the fixture `layer`."""

    async def _joined(self, layer, *groups: str) -> str:
        channel = await layer.new_channel()
        for group in groups:
            await layer.group_add(group, channel)
        return channel

    async def _receive(self, layer, channel: str) -> dict[str, object]:
        async with asyncio.timeout(WAIT_SECONDS):
            return await layer.receive(channel)

    async def test_a_hint_arrives_as_it_was_sent(self, layer):
        """A hint may contain numbers, lists and text in any language."""
        channel = await self._joined(layer, "t.talk")
        await layer.group_send("t.talk", hint(1))
        assert await self._receive(layer, channel) == hint(1)

    async def test_hints_of_a_sender_arrive_in_order_and_once(self, layer):
        channel = await self._joined(layer, "t.talk")
        for number in range(50):
            await layer.group_send("t.talk", hint(number))
        received = [(await self._receive(layer, channel))["offset"] for _ in range(50)]
        assert received == list(range(50))

    async def test_one_channel_hears_all_groups_that_it_joined(self, layer):
        """A process has one channel, regardless of the number of its topics."""
        channel = await self._joined(layer, "t.one", "t.two")
        await layer.group_send("t.one", hint(1))
        await layer.group_send("t.two", hint(2))
        assert sorted([(await self._receive(layer, channel))["offset"] for _ in range(2)]) == [1, 2]

    async def test_joining_twice_is_joining_once(self, layer):
        """The hub joins again every hour, and after each restart of its receiver."""
        channel = await self._joined(layer, "t.talk", "t.talk")
        await layer.group_send("t.talk", hint(1))
        await layer.group_send("t.talk", hint(2))
        assert [(await self._receive(layer, channel))["offset"] for _ in range(2)] == [1, 2]

    async def test_a_group_that_was_left_is_not_heard(self, layer):
        channel = await self._joined(layer, "t.talk", "t.other")
        await layer.group_discard("t.talk", channel)
        await layer.group_send("t.talk", hint(1))
        await layer.group_send("t.other", hint(2))
        assert (await self._receive(layer, channel))["offset"] == 2

    async def test_leaving_a_group_that_was_never_joined_is_harmless(self, layer):
        channel = await layer.new_channel()
        await layer.group_discard("t.talk", channel)

    async def test_a_group_without_members_takes_a_hint(self, layer):
        """A topic may have no subscribers, so sending raises no error."""
        await layer.group_send("t.nobody", hint(1))

    async def test_each_member_of_a_group_hears_it(self, layer):
        """The channels of two nodes."""
        channels = [await self._joined(layer, "t.talk") for _ in range(2)]
        assert channels[0] != channels[1]
        await layer.group_send("t.talk", hint(1))
        assert [(await self._receive(layer, channel))["offset"] for channel in channels] == [1, 1]

    async def test_the_largest_hint_arrives(self, layer):
        """A hint may be as large as a batch of events."""
        channel = await self._joined(layer, "t.talk")
        large = hint(1) | {"bodies": ["x" * HINT_CHARACTERS]}
        await layer.group_send("t.talk", large)
        assert await self._receive(layer, channel) == large
