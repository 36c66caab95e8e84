"""The guarantees of streams, as tests that run with Redis and with the memory that replaces it in other tests."""

from uuid import UUID

from tests.unit.tidewire.fakes import Said, place
from tidewire.streams import Encoded, Entry
from tidewire.topics import Position


def said_event(number: int, *, topic: str = "talk", sequence: int | None = None) -> Encoded:
    return Encoded.of(Said(topic=topic, id=UUID(int=number), text=f"word {number}"))._replace(sequence=sequence)


def numbered(*numbers: int) -> dict[str, list[Encoded]]:
    return {"talk": [said_event(number, sequence=number) for number in numbers]}


async def results(streams, batch: dict[str, list[Encoded]]) -> list[tuple[bool, int | None]]:
    return [(each.new, each.stream_sequence) for each in (await streams.append_all(batch))["talk"]]


class StreamsSuite:
    """Subclasses must provide the fixture `streams`, with a method `flush`."""

    async def test_an_empty_topic_has_no_end(self, streams):
        """A topic without events has neither epoch nor history."""
        assert await streams.ends(["talk", "other"]) == [None, None]
        assert await streams.ends([]) == []
        assert await streams.read("talk", 0, limit=10) == (None, [])

    async def test_events_are_numbered_from_one(self, streams):
        """Offsets are consecutive, in one epoch."""
        positions = [(await streams.append(said_event(number))).position for number in (1, 2, 3)]
        assert [position.offset for position in positions] == [1, 2, 3]
        assert len({position.epoch for position in positions}) == 1
        assert await streams.ends(["talk"]) == [positions[-1]]
        assert Position.parse(str(positions[-1])) == positions[-1], "a page can carry it"

    async def test_a_stamp_is_the_end_and_the_time_of_redis(self, streams):
        """A stamp gives a topic without events its epoch, which the first event keeps."""
        before = await streams.stamp("talk")
        assert before.position.offset == 0
        assert await streams.ends(["talk"]) == [before.position]
        first = (await streams.append(said_event(1))).position
        assert (first.epoch, first.offset) == (before.position.epoch, 1)
        after = await streams.stamp("talk")
        assert after.position == first
        assert 0 <= after.at_ms - before.at_ms < 60_000

    async def test_history_is_read_in_order_after_an_offset(self, streams):
        """A read returns the appended events together with the end of the stream at that moment."""
        marks = [(await streams.append(said_event(number))).position.mark for number in (1, 2, 3)]
        last = await streams.append(said_event(4))
        assert await streams.read("talk", 2, limit=10) == (
            last.position,
            [
                Entry(3, marks[2], marks[1], said_event(3).body),
                Entry(4, last.position.mark, marks[2], said_event(4).body),
            ],
        )
        assert await streams.read("talk", 4, limit=10) == (last.position, [])
        assert await streams.read("talk", 99, limit=10) == (last.position, [])

    async def test_a_read_is_bounded(self, streams):
        """A read returns the oldest events up to the limit; the end shows that there are more."""
        for number in (1, 2, 3, 4):
            last = await streams.append(said_event(number))
        end, entries = await streams.read("talk", 0, limit=2)
        assert [entry.offset for entry in entries] == [1, 2]
        assert end == last.position

    async def test_an_event_is_appended_once_by_its_id(self, streams):
        """A repeat returns the position of the first append, and changes nothing."""
        first = await streams.append(said_event(1))
        await streams.append(said_event(2))
        again = await streams.append(said_event(1))
        assert first.new
        assert not again.new
        assert again.position == first.position
        [end] = await streams.ends(["talk"])
        assert end.offset == 2
        _, entries = await streams.read("talk", 0, limit=10)
        assert len(entries) == 2

    async def test_a_batch_is_appended_in_its_order(self, streams):
        """A batch may contain several topics, each with its own offsets."""
        batch = {"talk": [said_event(3), said_event(1)], "other": [said_event(2, topic="other")]}
        done = await streams.append_all(batch)
        assert [each.position.offset for each in done["talk"]] == [1, 2]
        assert [each.position.offset for each in done["other"]] == [1]
        _, entries = await streams.read("talk", 0, limit=10)
        assert [entry.body for entry in entries] == [said_event(3).body, said_event(1).body]

    async def test_a_batch_whose_answer_was_lost_is_a_repeat(self, streams):
        """The publisher sends the whole batch again; events after it are still new."""
        assert await results(streams, numbered(1, 2, 3)) == [(True, None)] * 3
        assert await results(streams, numbered(1, 2, 3, 4)) == [(False, None)] * 3 + [(True, None)]

    async def test_a_late_publisher_changes_nothing(self, streams):
        """A suspended process sends its batch long after another process has published the rows."""
        assert await results(streams, numbered(1, 2)) == [(True, None)] * 2
        assert await results(streams, numbered(*range(3, 1500))) == [(True, None)] * 1497
        assert await results(streams, numbered(1, 2)) == [(False, 1499)] * 2
        [end] = await streams.ends(["talk"])
        assert end.offset == 1499

    async def test_a_number_that_the_stream_is_past_is_refused_with_all_behind_it(self, streams):
        """A database restored from a backup has numbers below the stream's, and none of its events may be lost."""
        await results(streams, numbered(1, 2, 3))
        batch = {"talk": [said_event(number + 10, sequence=number) for number in (3, 4)]}
        assert await results(streams, batch) == [(False, 3), (False, 3)]
        batch = {"talk": [said_event(number + 10, sequence=number) for number in (4, 5)]}
        assert await results(streams, batch) == [(True, None)] * 2

    async def test_no_event_of_a_large_batch_passes_those_that_were_refused(self, streams):
        """Redis takes a batch in parts. If the stream's number is within the batch, no part may overtake another."""
        for first, last in ((1, 100), (101, 250)):
            await results(streams, numbered(*range(first, last + 1)))
            batch = {"talk": [said_event(number + 1000 * last, sequence=number) for number in range(1, 501)]}
            assert await results(streams, batch) == [(False, last)] * 500
            assert (await streams.ends(["talk"]))[0].offset == last

    async def test_a_repeat_under_a_new_number_holds_up_nothing(self, streams):
        """An application may publish an id again, at the end of a part of a batch."""
        await results(streams, numbered(1))
        batch = [said_event(number, sequence=number) for number in range(2, 252)]
        batch[99] = said_event(1, sequence=101)
        outcomes = await results(streams, {"talk": batch})
        assert outcomes == [(number != 101, None) for number in range(2, 252)]

    async def test_a_store_that_was_emptied_takes_any_number(self, streams):
        """Redis has lost the topic, but the database's numbers continue."""
        await results(streams, numbered(1, 2))
        await streams.flush()
        assert await results(streams, numbered(3)) == [(True, None)]

    async def test_topics_are_kept_apart(self, streams):
        """Each topic has its own offsets, epoch and ids."""
        await streams.append(said_event(1))
        await streams.append(said_event(2))
        other = await streams.append(said_event(1, topic="other"))
        assert other.new
        assert other.position.offset == 1
        talk, ends, none = await streams.ends(["talk", "other", "third"])
        assert (talk.offset, ends, none) == (2, other.position, None)

    async def test_history_is_bounded(self, streams):
        """Old events are deleted. The remaining ones are the newest, without a gap."""
        for number in range(1, 401):
            await streams.append(said_event(number))
        _, entries = await streams.read("talk", 0, limit=1000)
        offsets = [entry.offset for entry in entries]
        assert offsets == list(range(offsets[0], 401))
        assert streams.length <= len(offsets) <= streams.length + 200

    async def test_a_mark_depends_on_every_event_before(self, streams):
        """The same event at the same offset has another mark if the event before it differs."""
        one = [(await streams.append(said_event(number))).position for number in (1, 2)]
        other = [(await streams.append(said_event(number, topic="other"))).position for number in (3, 2)]
        assert one[1].mark != other[1].mark
        assert one == [place(1, one[0].epoch), place(2, one[0].epoch)]

    async def test_a_repeat_has_the_position_of_the_first(self, streams):
        """A publisher that repeats an event can resume from its position."""
        first = await streams.append(said_event(1))
        await streams.append(said_event(2))
        assert (await streams.append(said_event(1))).position == first.position

    async def test_an_emptied_store_begins_a_new_epoch(self, streams):
        """New offsets are never mistaken for old ones, and old ids are forgotten."""
        old = await streams.append(said_event(1))
        await streams.flush()
        assert await streams.ends(["talk"]) == [None]
        new = await streams.append(said_event(1))
        assert new.new
        assert new.position.offset == 1
        assert new.position.epoch != old.position.epoch
