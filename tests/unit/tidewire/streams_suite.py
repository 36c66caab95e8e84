"""What the streams promise, as tests that run over Redis and over the memory that stands in for it in other tests."""

from uuid import UUID

from tests.unit.tidewire.fakes import Said
from tidewire.streams import Encoded
from tidewire.topics import Position


def said(number: int, *, topic: str = "talk") -> Encoded:
    return Encoded.of(Said(topic=topic, id=UUID(int=number), text=f"word {number}"))


class StreamsSuite:
    """Subclasses give the fixture `streams`, and `flush()` on it."""

    async def test_an_empty_topic_has_no_end(self, streams):
        """Before any event a topic has neither epoch nor history."""
        assert await streams.ends(["talk", "other"]) == [None, None]
        assert await streams.ends([]) == []
        assert await streams.read("talk", 0, limit=10) == (None, [])

    async def test_events_are_numbered_from_one(self, streams):
        """Offsets follow each other without a gap, in one epoch."""
        positions = [(await streams.append(said(number))).position for number in (1, 2, 3)]
        assert [position.offset for position in positions] == [1, 2, 3]
        assert len({position.epoch for position in positions}) == 1
        assert await streams.ends(["talk"]) == [positions[-1]]
        assert Position.parse(str(positions[-1])) == positions[-1], "a page can carry it"

    async def test_history_is_read_in_order_after_an_offset(self, streams):
        """What is read is what was appended, the end of the same moment beside it."""
        for number in (1, 2, 3, 4):
            last = await streams.append(said(number))
        assert await streams.read("talk", 2, limit=10) == (
            last.position,
            [(3, said(3).body), (4, said(4).body)],
        )
        assert await streams.read("talk", 4, limit=10) == (last.position, [])
        assert await streams.read("talk", 99, limit=10) == (last.position, [])

    async def test_a_read_is_bounded(self, streams):
        """The oldest so many are read; the end tells that there are more."""
        for number in (1, 2, 3, 4):
            last = await streams.append(said(number))
        end, entries = await streams.read("talk", 0, limit=2)
        assert [offset for offset, _ in entries] == [1, 2]
        assert end == last.position

    async def test_an_event_is_appended_once_by_its_id(self, streams):
        """A repeat is told where the first one stands, and changes nothing."""
        first = await streams.append(said(1))
        await streams.append(said(2))
        again = await streams.append(said(1))
        assert first.new
        assert not again.new
        assert again.position == first.position
        [end] = await streams.ends(["talk"])
        assert end.offset == 2
        _, entries = await streams.read("talk", 0, limit=10)
        assert len(entries) == 2

    async def test_topics_are_kept_apart(self, streams):
        """Each has offsets and an epoch of its own, and ids of its own."""
        await streams.append(said(1))
        await streams.append(said(2))
        other = await streams.append(said(1, topic="other"))
        assert other.new
        assert other.position.offset == 1
        talk, ends, none = await streams.ends(["talk", "other", "third"])
        assert (talk.offset, ends, none) == (2, other.position, None)

    async def test_history_is_bounded(self, streams):
        """Old events go; those that are left are the newest, without a hole."""
        for number in range(1, 401):
            await streams.append(said(number))
        _, entries = await streams.read("talk", 0, limit=1000)
        offsets = [offset for offset, _ in entries]
        assert offsets == list(range(offsets[0], 401))
        assert streams.length <= len(offsets) <= streams.length + 200

    async def test_an_emptied_store_begins_a_new_epoch(self, streams):
        """Offsets that are counted anew are never taken for the old ones, nor is an old id remembered."""
        old = await streams.append(said(1))
        await streams.flush()
        assert await streams.ends(["talk"]) == [None]
        new = await streams.append(said(1))
        assert new.new
        assert new.position.offset == 1
        assert new.position.epoch != old.position.epoch
