"""The publisher: one at a time, in batches, in order. A failure must be limited to one topic, or end the turn."""

import logging
import sqlite3
import threading
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models.functions import Now
from django.test.utils import isolate_apps
from redis.exceptions import ResponseError

from tests.unit.tidewire.fakes import Said
from tidewire.exceptions import RedisUnavailable
from tidewire.models import OutboxEvent, PublisherTurn, Sequenced, TopicSequence
from tidewire.publishing import background, outbox, publisher, sequencing
from tidewire.publishing.publisher import Publisher, PublisherThread
from tidewire.testing import MemoryStreams

pytestmark = pytest.mark.django_db(transaction=True)


class Redis:
    """The streams, which may be unavailable or refuse a topic."""

    def __init__(self) -> None:
        self.streams = MemoryStreams()
        self.refused: set[str] = set()
        self.batches: list[int] = []

    async def publish_batch(self, batch, **_options):
        self.batches.append(sum(map(len, batch.values())))
        results = await self.streams.append_all({topic: batch[topic] for topic in batch if topic not in self.refused})
        return results | {topic: ResponseError("WRONGTYPE") for topic in batch if topic in self.refused}

    def events(self, topic: str = "talk") -> list[Said]:
        return [Said.decode(entry.body) for entry in run(self.streams.read(topic, 0, limit=10_000))[1]]

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.events()]


def run(work, **_options):
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


@pytest.fixture
def redis(monkeypatch):
    fake_redis = Redis()
    monkeypatch.setattr(publisher, "publish_batch", fake_redis.publish_batch)
    monkeypatch.setattr(publisher, "background", lambda: SimpleNamespace(run=run))
    monkeypatch.setattr(publisher, "PACE_SECONDS", 0.0)
    monkeypatch.setattr(publisher, "LONGEST_PACE_SECONDS", 0.0)
    monkeypatch.setattr(outbox.publisher, "wake", lambda: None)
    return fake_redis


class Clock:
    """A monotonic clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        assert self.now < 10_000.0, "it never ends"
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    fake_clock = Clock()
    monkeypatch.setattr(publisher, "time", fake_clock)
    monkeypatch.setattr(sequencing, "time", fake_clock, raising=False)
    return fake_clock


@pytest.fixture
def one_publisher(redis):
    return Publisher()


def publish_events(*numbers: int, topic: str = "talk") -> None:
    with transaction.atomic():
        for number in numbers:
            outbox.publish(topic, Said(topic=topic, id=UUID(int=number), text=f"word {number}"))


def words(*numbers: int) -> list[str]:
    return [f"word {number}" for number in numbers]


class TestPublish:
    def test_events_are_numbered_and_deleted(self, redis, one_publisher):
        """Each topic has its own numbers, from 1, in the order of its rows."""
        publish_events(1, 2)
        publish_events(3, topic="other")
        assert one_publisher.publish()
        assert [(event.text, event.sequence) for event in redis.events()] == [("word 1", 1), ("word 2", 2)]
        assert [event.sequence for event in redis.events("other")] == [1]
        assert not OutboxEvent.objects.exists()

    def test_numbers_go_on(self, redis, one_publisher):
        """Numbers also continue with another publisher."""
        publish_events(1)
        assert one_publisher.publish()
        publish_events(2)
        assert Publisher().publish()
        assert [event.sequence for event in redis.events()] == [1, 2]

    def test_more_than_a_batch_is_published_too(self, redis, one_publisher, monkeypatch):
        """Several batches, each of which is counted."""
        monkeypatch.setattr(sequencing, "BATCH", 3)
        publish_events(*range(1, 11))
        counted: list[float] = []
        assert one_publisher.publish(counted.append)
        assert counted == redis.batches == [3, 3, 3, 1]
        assert redis.texts == words(*range(1, 11))

    def test_a_batch_of_large_events_is_small(self, redis, one_publisher, monkeypatch):
        """A batch must reach Redis within the publisher's timeout. An event above the limit is a batch of its own."""
        monkeypatch.setattr(sequencing, "BATCH_BYTES", 1000)
        with transaction.atomic():
            for number, length in enumerate((400, 400, 400, 5000, 400)):
                outbox.publish("talk", Said(id=UUID(int=number), text="é" * (length // 2)))
        assert one_publisher.publish()
        assert redis.batches == [2, 1, 1, 1]
        publish_events(*range(10, 16))
        assert one_publisher.publish()
        assert len(redis.batches) > 4
        assert [event.sequence for event in redis.events()] == list(range(1, 12))

    def test_a_large_event_that_is_deleted_while_it_is_read_does_not_hide_the_others(self, redis, one_publisher):
        """Large texts are read after the sizes, and an administrator may delete the row in between."""
        with transaction.atomic():
            outbox.publish("talk", Said(id=UUID(int=1), text="x" * sequencing.BATCH_BYTES))
        publish_events(2)
        large = OutboxEvent.objects.order_by("id")[0].pk

        def delete(execute, sql, *arguments):
            result = execute(sql, *arguments)
            if "AS BLOB" in sql:
                connection.connection.execute("DELETE FROM tidewire_outboxevent WHERE id = ?", [large])
            return result

        with connection.execute_wrapper(delete):
            assert one_publisher.publish()
        assert redis.texts == words(2)

    def test_a_batch_takes_a_fixed_number_of_statements(self, redis, one_publisher, django_assert_max_num_queries):
        """The number of events does not matter."""
        publish_events(*range(100))
        one_publisher.publish()
        publish_events(*range(100, 200))
        with django_assert_max_num_queries(20):
            one_publisher.publish()

    def test_a_batch_may_have_as_many_topics_as_events(self, redis, one_publisher):
        """SQLite 3.31 allows 999 parameters."""
        for number in range(sequencing.BATCH):
            publish_events(number, topic=f"room.{number}")
        limit = sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER
        usual = connection.connection.setlimit(limit, 999)
        try:
            assert one_publisher.publish()
        finally:
            connection.connection.setlimit(limit, usual)
        assert TopicSequence.objects.count() == sequencing.BATCH

    def test_an_event_that_this_version_does_not_know_is_published(self, redis, one_publisher):
        """In a rolling deployment the publisher may be older than the page, so it must publish bodies unchanged."""
        event = Said(id=UUID(int=1), text="from the future")
        OutboxEvent.objects.create(event_id=event.id, topic="talk", type="from.the.future", body=event.encode())
        assert one_publisher.publish()
        assert redis.texts == ["from the future"]


class TestTurn:
    def test_another_publisher_has_its_turn(self, redis, one_publisher):
        """The other publisher has its turn until the turn ends."""
        publish_events(1)
        sequencing.advance(sequencing.Turn("other"))
        assert not one_publisher.publish()
        PublisherTurn.objects.update(ends_at=Now())
        assert one_publisher.publish()
        assert redis.texts == words(1)

    def test_a_turn_that_ends_far_ahead_is_over(self, redis, one_publisher):
        """The database's clock was set back, or a replica that is behind took over."""
        publish_events(1)
        sequencing.advance(sequencing.Turn("other"))
        PublisherTurn.objects.update(ends_at=Now() + timedelta(minutes=20))
        assert one_publisher.publish()

    def test_without_events_the_turn_is_given_up(self, redis, one_publisher):
        """Another process can publish at once."""
        publish_events(1)
        assert one_publisher.publish()
        publish_events(2)
        assert Publisher().publish()

    def test_without_redis_the_turn_is_given_up(self, redis, one_publisher):
        """Another process may be able to reach Redis."""
        redis.streams.unavailable = True
        publish_events(1)
        with pytest.raises(RedisUnavailable):
            one_publisher.publish()
        redis.streams.unavailable = False
        assert Publisher().publish()
        assert [event.sequence for event in redis.events()] == [1]

    def test_a_batch_that_another_one_left_comes_first(self, redis, one_publisher):
        """No event overtakes one that has a number already."""
        publish_events(1, 2)
        sequencing.advance(sequencing.Turn("killed"))
        PublisherTurn.objects.update(ends_at=Now())
        publish_events(3)
        assert one_publisher.publish()
        assert [(event.text, event.sequence) for event in redis.events()] == [
            ("word 1", 1),
            ("word 2", 2),
            ("word 3", 3),
        ]

    def test_a_stop_of_a_whole_turn_is_noticed_before_anything_is_sent(self, redis, one_publisher, clock, monkeypatch):
        """Other publishers may have had their turn since."""
        publish_events(1)
        advance = sequencing.advance
        advanced: list[int] = []

        def stop(*arguments, **options):
            batch = advance(*arguments, **options)
            advanced.append(len(redis.batches))
            if len(advanced) == 1:
                clock.now += 100.0
            return batch

        monkeypatch.setattr(sequencing, "advance", stop)
        assert one_publisher.publish()
        assert advanced == [0, 0, 1], "sent after the second look"

    def test_a_slow_database_is_no_stop(self, redis, one_publisher, clock):
        """Over a long distance the replies together took longer than a turn, so that no event was ever published."""
        publish_events(1)

        def slowly(execute, *arguments):
            clock.now += 0.4
            return execute(*arguments)

        with connection.execute_wrapper(slowly):
            assert one_publisher.publish()
        assert redis.texts == words(1)

    @pytest.mark.parametrize(("events", "seconds"), [(1, 0.05), (7, 0.07), (40, 0.1)])
    def test_events_are_collected_for_longer_the_more_there_are(
        self, redis, one_publisher, monkeypatch, events, seconds
    ):
        """Events are collected for a tenth of a second at most."""
        waits = []
        monkeypatch.setattr(publisher, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=waits.append))
        monkeypatch.setattr(publisher, "PACE_SECONDS", 0.05)
        monkeypatch.setattr(publisher, "LONGEST_PACE_SECONDS", 0.1)
        publish_events(*range(1, events + 1))
        assert one_publisher.publish()
        assert waits == [pytest.approx(seconds)]

    def test_a_database_that_went_back_is_numbered_above_redis(self, redis, one_publisher, caplog):
        """No event may be lost, and the log must explain the jump of the numbers."""
        publish_events(1, 2, 3)
        one_publisher.publish()
        TopicSequence.objects.update(sequence=0)
        publish_events(4)
        assert one_publisher.publish()
        assert [(event.text, event.sequence) for event in redis.events()][3:] == [("word 4", 4)]
        assert "numbered on from 3" in caplog.text


class TestRefusals:
    def test_one_topic_does_not_hold_up_the_others(self, redis, one_publisher, monkeypatch, caplog):
        """However many of its events wait, the topic is skipped, but only for a while."""
        monkeypatch.setattr(sequencing, "BATCH", 2)
        redis.refused = {"odd"}
        publish_events(*range(10, 20), topic="odd")
        publish_events(1, 2, 3)
        assert not one_publisher.publish()
        assert redis.texts == words(1, 2, 3)
        assert OutboxEvent.objects.count() == 10
        assert "events of topic odd wait" in caplog.text
        redis.refused.clear()
        monkeypatch.setattr(one_publisher, "_refused", {})
        assert one_publisher.publish()
        assert [event.text for event in redis.events("odd")] == words(*range(10, 20))
        assert [event.sequence for event in redis.events("odd")] == list(range(1, 11))
        assert PublisherTurn.objects.get().numbered == []

    def test_the_numbers_of_refused_events_are_kept_by_any_publisher(self, redis, one_publisher):
        """The topic continues at its number, and a row that an administrator deletes leaves no number behind."""
        redis.refused = {"odd"}
        publish_events(10, 11, 12, topic="odd")
        publish_events(1)
        assert not one_publisher.publish()
        numbered = PublisherTurn.objects.get().numbered
        assert [number for _, number in numbered] == [1, 2, 3]
        OutboxEvent.objects.filter(id=numbered[0][0]).delete()
        redis.refused = set()
        publish_events(13, topic="odd")
        assert Publisher().publish()
        assert [(event.text, event.sequence) for event in redis.events("odd")] == [
            ("word 11", 2),
            ("word 12", 3),
            ("word 13", 4),
        ]
        assert PublisherTurn.objects.get().numbered == []

    def test_a_topic_that_cannot_be_numbered_does_not_hold_up_the_others(self, redis, one_publisher, monkeypatch):
        """For example while the application's table is being changed."""
        number = sequencing._number

        def fail(events, last):
            if events[0].topic == "odd":
                raise DatabaseError("no such table")
            return number(events, last)

        monkeypatch.setattr(sequencing, "_number", fail)
        publish_events(10, topic="odd")
        publish_events(1)
        assert not one_publisher.publish()
        assert redis.texts == words(1)

    def test_a_topic_that_cannot_be_numbered_is_tried_once(self, redis, one_publisher, monkeypatch):
        """Another publisher may begin between the two attempts: both would wait for the same table again and again."""
        take_turn, tried = sequencing._take_turn, []

        def fail(events, _last):
            tried.append(events[0].topic)
            raise DatabaseError("the table is locked")

        monkeypatch.setattr(sequencing, "_take_turn", lambda turn: take_turn(turn) if len(tried) != 1 else None)
        monkeypatch.setattr(sequencing, "_number", fail)
        publish_events(10, topic="odd")
        assert not one_publisher.publish()
        assert tried == ["odd"]
        monkeypatch.setattr(sequencing, "_take_turn", take_turn)
        assert not one_publisher.publish()
        assert tried == ["odd"]


class TestSequences:
    def test_those_of_topics_without_use_are_pruned(self, redis, one_publisher):
        """Topics with numbered rows of the application, or with waiting events, must be kept."""
        for number, topic in enumerate(("room.1", "room.2", "notifications")):
            publish_events(number, topic=topic)
        one_publisher.publish()
        publish_events(9, topic="room.2")
        assert sequencing.prune() == 0
        TopicSequence.objects.update(used_at=Now() - sequencing.UNUSED - timedelta(days=1))
        assert sequencing.prune() == 1
        assert set(TopicSequence.objects.values_list("topic", flat=True)) == {"room.2", "notifications"}

    @isolate_apps("dashboard")
    def test_the_numbers_of_a_stream_are_in_the_table_that_has_the_column(self, monkeypatch):
        """Models that inherit the column must not be used, such as pictures among messages."""

        class Message(Sequenced):
            stream = "messages"

            class Meta:
                app_label = "dashboard"

        class Picture(Message):
            class Meta:
                app_label = "dashboard"

        class Recent(Message):
            class Meta:
                app_label = "dashboard"
                proxy = True

        monkeypatch.setattr(sequencing, "apps", Message._meta.apps)
        assert Message._meta.apps.get_models() == [Message, Picture, Recent]
        assert sequencing._models.__wrapped__() == {"messages": Message}


class TestThread:
    @pytest.fixture
    def thread(self, redis, monkeypatch):
        """A publisher's thread, in which the test replaces `publish`; stopped afterwards."""
        publisher_thread = PublisherThread()
        yield publisher_thread
        publisher_thread.stop()

    def test_waking_never_waits(self, thread, monkeypatch):
        """A publisher that hangs does not delay a request."""
        hanging, going_on = threading.Event(), threading.Event()

        def hang() -> bool:
            hanging.set()
            return going_on.wait(10)

        monkeypatch.setattr(thread._publisher, "publish", hang)
        thread.wake()
        assert hanging.wait(10)
        thread.wake()
        going_on.set()

    def test_the_end_of_the_process_waits_for_its_last_events(self, thread, monkeypatch):
        """A command ends right after its commit. Otherwise the relay would publish the event a second later."""
        publishing, going_on = threading.Event(), threading.Event()
        published: list[bool] = []

        def publish() -> bool:
            publishing.set()
            published.append(going_on.wait(10))
            return True

        monkeypatch.setattr(publisher, "EXIT_SECONDS", 10.0)
        monkeypatch.setattr(thread._publisher, "publish", publish)
        thread.wake()
        assert publishing.wait(10)
        thread.wake()
        threading.Timer(0.05, going_on.set).start()
        thread.finish()
        assert published == [True, True]

    def test_the_end_of_the_process_waits_for_a_bounded_time(self, thread, monkeypatch):
        """Redis may be unavailable. Without a thread, as after a fork, there is nothing to wait for."""
        thread.finish()
        going_on = threading.Event()
        monkeypatch.setattr(publisher, "EXIT_SECONDS", 0.01)
        monkeypatch.setattr(thread._publisher, "publish", lambda: going_on.wait(10))
        thread.wake()
        thread.finish()
        assert not going_on.is_set()
        going_on.set()

    @pytest.mark.parametrize("error", [RedisUnavailable("unavailable"), OperationalError("gone"), KeyError("a bug")])
    def test_it_outlives_every_error(self, thread, monkeypatch, error, caplog):
        """The thread survives, and publishes the next event."""
        monkeypatch.setattr(publisher, "FIRST_RETRY_SECONDS", 0.0)
        done = threading.Event()
        errors = [error]

        def publish() -> bool:
            if errors:
                raise errors.pop()
            done.set()
            return True

        monkeypatch.setattr(thread._publisher, "publish", publish)
        with caplog.at_level(logging.WARNING):
            thread.wake()
            if isinstance(error, KeyError):
                while "publishing failed" not in caplog.text:
                    threading.Event().wait(0.01)
                thread.wake()
            assert done.wait(10)

    def test_a_process_has_one_and_a_fork_its_own(self, monkeypatch):
        """Threads do not survive in a forked child."""
        created = []
        ended = []
        thread = SimpleNamespace(wake=lambda: None, finish=lambda: None)
        monkeypatch.setattr(publisher, "PublisherThread", lambda: created.append(1) or thread)
        monkeypatch.setattr(publisher.threading, "_register_atexit", ended.append)
        publisher._of_process.cache_clear()
        for pid in (1, 1, 2):
            monkeypatch.setattr(publisher.os, "getpid", lambda pid=pid: pid)
            publisher.wake()
        publisher._of_process.cache_clear()
        assert len(created) == 2
        assert ended == [thread.finish] * 2


class TestGreenlets:
    @pytest.mark.parametrize("patcher", ["gevent.monkey", "eventlet.patcher"])
    def test_replaced_threads_are_refused(self, monkeypatch, patcher):
        """The message names the remedy."""
        monkeypatch.setitem(
            background.sys.modules,
            patcher,
            SimpleNamespace(is_module_patched=lambda _: True, is_monkey_patched=lambda _: True),
        )
        with pytest.raises(ImproperlyConfigured, match=r"needs real threads, and (gevent|eventlet) .* gthread"):
            background.refuse_greenlets()

    def test_gevent_that_replaced_nothing_is_no_reason(self, monkeypatch):
        """A library may import gevent without replacing threads."""
        monkeypatch.setitem(background.sys.modules, "gevent.monkey", SimpleNamespace(is_module_patched=lambda _: False))
        background.refuse_greenlets()
