"""The outbox with a real Redis and real databases: concurrent publishers, one order, each event once."""

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.db.models.functions import Now
from django.test.utils import isolate_apps

from dashboard.models import Notification
from dashboard.settings import SQLITE
from tests.unit.tidewire.fakes import Said
from tidewire.models import OutboxEvent, PublisherTurn, Sequenced, TopicSequence
from tidewire.publishing import outbox, outbox_sql, publisher, sequencing
from tidewire.publishing.publisher import Publisher, PublisherThread
from tidewire.streams.redis import stream_store

THREADS = 8
PROCESSES = 3
TIMEOUT_SECONDS = 20.0


class Processes:
    """Threads that save, each with its own connection, and publishers like those of several processes."""

    def __init__(self, background_loop) -> None:
        self._pool = ThreadPoolExecutor(THREADS)
        self._barrier = threading.Barrier(THREADS)
        self._background = background_loop
        self.publishers = [PublisherThread() for _ in range(PROCESSES)]
        self._turns = itertools.cycle(self.publishers)

    def wake(self) -> None:
        """Wake a publisher, like a commit in any of the processes."""
        next(self._turns).wake()

    def one(self, call: Callable[[], Any]) -> Any:
        return self._pool.submit(call).result()

    def all(self, call: Callable[[int], Any]) -> list[Any]:
        def together(number: int) -> Any:
            self._barrier.wait(timeout=30)
            return call(number)

        return [future.result() for future in [self._pool.submit(together, number) for number in range(THREADS)]]

    def stream(self) -> list[str]:
        """Return the texts in the stream, in order."""
        return [event.text for event in self.events()]

    def events(self) -> list[Said]:
        _, entries = self._background.run(stream_store().read("talk", 0, limit=10_000), seconds=5)
        return [Said.decode(entry.body) for entry in entries]

    def left(self) -> int:
        return self.one(OutboxEvent.objects.count)

    def wait_until_published(self) -> None:
        """Wait until no event is waiting."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while self.left():
            assert time.monotonic() < end, f"{self.left()} events still wait"
            time.sleep(0.02)

    def close(self) -> None:
        for each in self.publishers:
            each.stop()
        self.all(lambda _: connections["default"].close())
        self._pool.shutdown()


@pytest.fixture(params=["sqlite", "postgresql"])
def processes(request, tmp_path, monkeypatch, django_db_blocker, background_loop) -> Iterator[Processes]:
    if request.param == "sqlite":
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db.sqlite3"), "OPTIONS": SQLITE}
    else:
        database = request.getfixturevalue("postgres")
    monkeypatch.setitem(connections.databases, "default", connections.databases["default"] | database)
    two_processes = Processes(background_loop)
    monkeypatch.setattr(publisher, "wake", two_processes.wake)
    with django_db_blocker.unblock():
        two_processes.one(lambda: call_command("migrate", verbosity=0))
        two_processes.one(delete_rows)
        yield two_processes
        two_processes.close()


def delete_rows() -> None:
    for model in (OutboxEvent, TopicSequence, PublisherTurn, Notification):
        model.objects.all().delete()


def say(*numbers: int) -> None:
    with transaction.atomic():
        for number in numbers:
            outbox.publish("talk", Said(id=UUID(int=number), text=f"word {number}"))


def words(*numbers: int) -> list[str]:
    return [f"word {number}" for number in numbers]


def test_an_event_is_in_the_stream_soon_after_its_request(processes):
    """The process's own publisher publishes the event after the commit."""
    processes.one(lambda: say(1))
    processes.wait_until_published()
    assert processes.stream() == words(1)


def test_publishers_at_the_same_time_neither_reorder_nor_double(processes):
    """Each thread's events must be in the order of its requests, once each, and numbered without a gap."""

    def publish(thread: int) -> None:
        for request in range(10):
            first = 1000 * (thread + 1) + 2 * request
            say(first, first + 1)

    processes.all(publish)
    processes.wait_until_published()
    events = processes.events()
    assert [event.sequence for event in events] == list(range(1, THREADS * 20 + 1))
    assert len({event.text for event in events}) == THREADS * 20
    for thread in range(THREADS):
        own = [int(text.split()[1]) for text in processes.stream() if int(text.split()[1]) // 1000 == thread + 1]
        assert own == sorted(own)


def test_the_stream_has_the_order_of_the_commits(processes):
    """If a request begins after another has ended, its events must follow those of the other."""
    lock = threading.Lock()
    order: list[int] = []

    def publish(thread: int) -> None:
        for request in range(10):
            with lock:
                number = 1000 * (thread + 1) + request
                order.append(number)
                say(number)

    processes.all(publish)
    processes.wait_until_published()
    assert processes.stream() == words(*order)


def test_events_that_waited_for_redis_are_published_in_order(processes, redis_server):
    """After an outage of Redis, all events must be published in order and once, without another request."""
    redis_server.stop()
    processes.one(lambda: say(1, 2))
    processes.one(lambda: say(3))
    assert processes.left() == 3
    redis_server.start()
    processes.wait_until_published()
    processes.one(lambda: say(4))
    processes.wait_until_published()
    assert processes.stream() == words(1, 2, 3, 4)


def test_relays_at_the_same_time_publish_each_event_once_and_in_order(processes, monkeypatch):
    """Two relays publish events of processes that ended, while other requests publish too."""
    with monkeypatch.context() as ended:
        ended.setattr(publisher, "wake", lambda: None)
        processes.one(lambda: [say(number) for number in range(1, 41)])
    monkeypatch.setattr(sequencing, "BATCH", 7)

    def run(thread: int) -> None:
        if thread < 3:
            say(100 + thread)
        else:
            Publisher().publish()

    processes.all(run)
    processes.wait_until_published()
    stream = processes.stream()
    assert stream[:40] == words(*range(1, 41))
    assert sorted(stream[40:]) == words(100, 101, 102)


def test_a_process_that_is_killed_between_redis_and_the_database_publishes_nothing_twice(processes, monkeypatch):
    """The row still exists, but Redis knows its event: at least once up to Redis, exactly once in it."""
    advance = sequencing.advance

    def killed(turn, *, done=(), **options):
        if done:
            raise OperationalError("the process was killed here")
        return advance(turn, **options)

    monkeypatch.setattr(publisher, "wake", lambda: None)
    processes.one(lambda: say(1, 2))
    with monkeypatch.context() as context:
        context.setattr(sequencing, "advance", killed)
        with pytest.raises(OperationalError, match="killed here"):
            processes.one(Publisher().publish)
    assert processes.left() == 2
    assert processes.stream() == words(1, 2)
    processes.one(lambda: PublisherTurn.objects.update(ends_at=Now()))
    processes.one(lambda: say(3))
    assert processes.one(Publisher().publish)
    assert processes.stream() == words(1, 2, 3)
    assert processes.left() == 0


def test_a_storm_with_outages_loses_nothing(processes, monkeypatch):
    """Redis fails at random during many saves. Afterwards all events must exist, once and in each thread's order."""
    chance = random.Random(4)
    publish_batch = publisher.publish_batch

    async def sometimes(*arguments, **options):
        if chance.random() < 0.2:
            raise publisher.RedisUnavailable("unavailable")
        done = await publish_batch(*arguments, **options)
        if chance.random() < 0.2:
            raise publisher.RedisUnavailable("the answer was lost")
        return done

    monkeypatch.setattr(publisher, "publish_batch", sometimes)
    monkeypatch.setattr(publisher, "FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(publisher, "LONGEST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(sequencing, "BATCH", 5)

    def publish(thread: int) -> None:
        for request in range(8):
            say(1000 * (thread + 1) + request)

    processes.all(publish)
    processes.wait_until_published()
    stream = processes.stream()
    assert len(stream) == len(set(stream)) == THREADS * 8
    assert [event.sequence for event in processes.events()] == list(range(1, THREADS * 8 + 1))
    for thread in range(THREADS):
        own = [int(text.split()[1]) for text in stream if int(text.split()[1]) // 1000 == thread + 1]
        assert own == sorted(own)


def test_a_database_that_went_back_to_a_backup_loses_no_event(processes, monkeypatch):
    """The database's numbers restart below those in Redis: new events must be numbered above them."""
    processes.one(lambda: say(1, 2, 3))
    processes.wait_until_published()
    processes.one(lambda: TopicSequence.objects.update(sequence=1))
    processes.one(lambda: say(4, 5, 6))
    processes.wait_until_published()
    assert processes.stream() == words(1, 2, 3, 4, 5, 6)
    numbers = [event.sequence for event in processes.events()]
    assert numbers == sorted(set(numbers))


def test_one_topic_that_redis_refuses_does_not_hold_up_the_others(processes, redis_server, monkeypatch):
    """More events than fit a batch wait on the refused topic; a logout on another topic must be published at once."""
    monkeypatch.setattr(sequencing, "BATCH", 3)
    monkeypatch.setattr(publisher, "REFUSED_SECONDS", 0.5)
    redis_server.client.set("tidewire:position:odd", "text")

    def odd() -> None:
        with transaction.atomic():
            for number in range(100, 110):
                outbox.publish("odd", Said(topic="odd", id=UUID(int=number), text="x"))

    processes.one(odd)
    processes.one(lambda: say(1, 2))
    end = time.monotonic() + TIMEOUT_SECONDS
    while processes.left() != 10:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert processes.stream() == words(1, 2)
    redis_server.client.delete("tidewire:position:odd")
    processes.wait_until_published()


def test_rows_that_another_transaction_has_locked_do_not_hold_up_other_topics(processes, monkeypatch):
    """A migration updated the rows of more notifications than fit a batch, and until its end no logout took effect."""
    if processes.one(lambda: connection.vendor) != "postgresql":
        pytest.skip("SQLite has one writer")
    monkeypatch.setattr(sequencing, "BATCH", 3)
    locked, going_on = threading.Event(), threading.Event()

    def migrate() -> None:
        with transaction.atomic():
            assert list(Notification.objects.select_for_update())
            locked.set()
            going_on.wait(TIMEOUT_SECONDS)

    with monkeypatch.context() as unavailable:
        unavailable.setattr(publisher, "wake", lambda: None)
        processes.one(lambda: notify(7))
    migrating = processes._pool.submit(migrate)
    assert locked.wait(TIMEOUT_SECONDS)
    processes.one(lambda: say(1, 2, 3, 4))
    end = time.monotonic() + 3
    try:
        while processes.stream() != words(1, 2, 3, 4):
            assert time.monotonic() < end, "the notifications' rows hold up the other topic"
            time.sleep(0.02)
    finally:
        going_on.set()
        migrating.result(TIMEOUT_SECONDS)
    processes.wait_until_published()
    assert processes.one(
        lambda: list(Notification.objects.order_by("sequence").values_list("sequence", flat=True))
    ) == [*range(1, 8)]


def test_a_table_that_is_locked_before_its_topic_has_a_number_holds_up_no_other(processes, monkeypatch):
    """A migration locks the table of a model with first events that wait."""
    if processes.one(lambda: connection.vendor) != "postgresql":
        pytest.skip("SQLite has one writer")
    monkeypatch.setattr(publisher, "REFUSED_SECONDS", 0.5)
    locked, going_on = threading.Event(), threading.Event()

    def migrate() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE dashboard_notification IN ACCESS EXCLUSIVE MODE")
            locked.set()
            going_on.wait(TIMEOUT_SECONDS)

    with monkeypatch.context() as unavailable:
        unavailable.setattr(publisher, "wake", lambda: None)
        processes.one(lambda: notify(2))
    migrating = processes._pool.submit(migrate)
    assert locked.wait(TIMEOUT_SECONDS)
    processes.one(lambda: say(1))
    end = time.monotonic() + 5
    try:
        while processes.stream() != words(1):
            assert time.monotonic() < end, "the table holds up the other topic"
            time.sleep(0.02)
    finally:
        going_on.set()
        migrating.result(TIMEOUT_SECONDS)
    processes.wait_until_published()


def test_a_lost_connection_is_no_fault_of_a_topic(processes, monkeypatch):
    """PostgreSQL ended the connection, or a pooler did, while a topic was numbered: the topic must not be skipped."""
    if processes.one(lambda: connection.vendor) != "postgresql":
        pytest.skip("SQLite has no connections")
    write_sequences = outbox_sql.write_sequences

    def lose(*arguments, **options):
        monkeypatch.setattr(outbox_sql, "write_sequences", write_sequences)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return write_sequences(*arguments, **options)

    monkeypatch.setattr(outbox_sql, "write_sequences", lose)
    processes.one(lambda: notify(1))
    soon(lambda: not processes.left(), "the events wait")


@contextlib.contextmanager
def open_transaction(processes: Processes, work: Callable[[], Any]) -> Iterator[None]:
    """Keep a transaction of another process open after `work`."""
    if processes.one(lambda: connection.vendor) != "postgresql":
        pytest.skip("SQLite has one writer")
    begun, going_on = threading.Event(), threading.Event()

    def run() -> None:
        with transaction.atomic():
            work()
            begun.set()
            going_on.wait(TIMEOUT_SECONDS)

    running = processes._pool.submit(run)
    try:
        assert begun.wait(TIMEOUT_SECONDS)
        yield
    finally:
        going_on.set()
        running.result(TIMEOUT_SECONDS)


def soon(true: Callable[[], bool], expectation: str) -> None:
    end = time.monotonic() + 3
    while not true():
        assert time.monotonic() < end, expectation
        time.sleep(0.02)


def test_a_row_that_another_transaction_refers_to_holds_up_no_other(processes, monkeypatch):
    """An update of a unique column needs the whole row, which a foreign key locks until the end of its transaction."""

    def refer() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM dashboard_notification ORDER BY id LIMIT 1 FOR KEY SHARE")

    def numbered() -> int:
        return processes.one(Notification.objects.filter(sequence__isnull=False).count)

    with monkeypatch.context() as unavailable:
        unavailable.setattr(publisher, "wake", lambda: None)
        processes.one(lambda: notify(3))
    with open_transaction(processes, refer):
        processes.one(lambda: say(1))
        soon(lambda: numbered() == 2, "the row holds up others of its topic")
    processes.wait_until_published()
    assert numbered() == 3


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_long_import_holds_up_no_other_topic(processes, monkeypatch, earlier):
    """The rows of the import have numbers of a topic, which stays locked until they are committed."""

    def bring_in() -> None:
        rows = [Notification(actor_name="ada", verb="created", slug="plan-1", title="Plan") for _ in range(3)]
        sequencing.number(rows)
        Notification.objects.bulk_create(rows)

    monkeypatch.setattr(publisher, "REFUSED_SECONDS", 0.5)
    processes.one(lambda: notify(earlier))
    processes.wait_until_published()
    with open_transaction(processes, bring_in):
        processes.one(lambda: notify(1))
        processes.one(lambda: say(1))
        soon(lambda: processes.stream() == words(1), "the import holds up the other topic")
    processes.wait_until_published()
    numbers = processes.one(lambda: list(Notification.objects.order_by("sequence").values_list("sequence", flat=True)))
    assert numbers == list(range(1, earlier + 5))


def notify(count: int) -> None:
    with transaction.atomic():
        for _ in range(count):
            row = Notification.objects.create(actor_name="ada", verb="created", slug="plan-1", title="Plan")
            outbox.publish("notifications", Said(topic="notifications", id=row.event_id, text="x"))


@pytest.mark.parametrize("name", ["rows", "numbered", '"elsewhere"."message"'])
def test_the_table_of_a_model_may_have_any_name_and_schema(processes, monkeypatch, name):
    """Its rows are numbered like those of any other table."""
    if "." in name and processes.one(lambda: connection.vendor) != "postgresql":
        pytest.skip("SQLite has no schemas")
    with isolate_apps("dashboard"):

        class Message(Sequenced):
            stream = "talk"

            class Meta:
                app_label = "dashboard"
                db_table = name

    def create() -> None:
        with connection.schema_editor() as editor:
            if "." in name:
                editor.execute("CREATE SCHEMA elsewhere")
            editor.create_model(Message)
        Message.objects.bulk_create(Message(event_id=UUID(int=number)) for number in (1, 2))

    def drop() -> None:
        with connection.schema_editor() as editor:
            editor.delete_model(Message)
            if "." in name:
                editor.execute("DROP SCHEMA elsewhere")

    monkeypatch.setattr(sequencing, "_models", lambda: {"talk": Message})
    processes.one(create)
    try:
        processes.one(lambda: say(1, 2))
        soon(lambda: not processes.left(), "the events wait")
        assert processes.one(lambda: list(Message.objects.order_by("id").values_list("sequence", flat=True))) == [1, 2]
    finally:
        processes.one(drop)


@pytest.mark.alone
def test_a_publisher_that_a_stop_made_late_changes_nothing(processes, monkeypatch):
    """The publisher is stopped with a batch, and sends it after others have published the same events and more."""
    late, going_on = threading.Event(), threading.Event()
    stopped = Publisher()
    send = stopped._send

    def block(batch):
        late.set()
        assert going_on.wait(TIMEOUT_SECONDS)
        return send(batch)

    monkeypatch.setattr(stopped, "_send", block)
    monkeypatch.setattr(publisher, "wake", lambda: None)
    processes.one(lambda: say(1, 2))
    holding = processes._pool.submit(stopped.publish)
    assert late.wait(TIMEOUT_SECONDS)
    processes.one(lambda: say(3))
    assert not processes.one(Publisher().publish), "the turn is not over yet"
    began = time.monotonic()
    other = Publisher()
    while not processes.one(other.publish):
        assert time.monotonic() - began < 3
        time.sleep(0.02)
    # Enough events to make Redis forget the ids.
    monkeypatch.setattr(stream_store(), "_length", 1)
    processes.one(lambda: say(*range(4, 10)))
    assert processes.one(other.publish)
    going_on.set()
    assert not holding.result(TIMEOUT_SECONDS) or processes.left() == 0
    assert processes.stream() == words(*range(1, 10))
    assert [event.sequence for event in processes.events()] == list(range(1, 10))


def test_a_stopped_publisher_deletes_no_event_of_a_database_that_went_back(processes, monkeypatch):
    """A backup was restored meanwhile, and new events have the ids of the rows that the publisher sent."""
    sent, going_on = threading.Event(), threading.Event()
    stopped = Publisher()
    send = stopped._send

    def block(batch):
        done = send(batch)
        sent.set()
        assert going_on.wait(TIMEOUT_SECONDS)
        return done

    def go_back() -> None:
        delete_rows()
        with connection.cursor() as cursor:
            for each in connection.ops.sequence_reset_by_name_sql(no_style(), [table]):
                cursor.execute(each)

    table = {"table": OutboxEvent._meta.db_table, "column": "id"}
    monkeypatch.setattr(stopped, "_send", block)
    monkeypatch.setattr(publisher, "wake", lambda: None)
    processes.one(go_back)
    processes.one(lambda: say(1, 2))
    stopping = processes._pool.submit(stopped.publish)
    assert sent.wait(TIMEOUT_SECONDS)
    before = processes.one(lambda: set(OutboxEvent.objects.values_list("id", flat=True)))
    processes.one(go_back)
    processes.one(lambda: say(3, 4))
    assert processes.one(lambda: set(OutboxEvent.objects.values_list("id", flat=True))) == before
    going_on.set()
    stopping.result(TIMEOUT_SECONDS)
    processes.one(Publisher().publish)
    assert processes.stream() == words(1, 2, 3, 4)


@pytest.mark.alone
def test_a_publisher_stopped_inside_its_transaction_delays_others_by_less_than_three_seconds(processes, monkeypatch):
    """Its locks end with the database's timeout, and its turn ends by the database's clock."""
    if processes.one(lambda: connection.vendor) != "postgresql":
        pytest.skip("SQLite has one writer: a process that is stopped in any transaction stops every writer")
    inside, going_on = threading.Event(), threading.Event()

    def stop() -> None:
        with transaction.atomic():
            turn = sequencing.Turn("stopped")
            sequencing.advance(turn)
            inside.set()
            going_on.wait(TIMEOUT_SECONDS)

    with monkeypatch.context() as asleep:
        asleep.setattr(publisher, "wake", lambda: None)
        processes.one(lambda: say(1))
    stopping = processes._pool.submit(stop)
    assert inside.wait(TIMEOUT_SECONDS)
    began = time.monotonic()
    processes.one(lambda: say(2))
    assert time.monotonic() - began < 1, "the request itself does not wait"
    processes.wait_until_published()
    assert time.monotonic() - began < 3
    assert processes.stream() == words(1, 2)
    going_on.set()
    with pytest.raises(DatabaseError):
        stopping.result(TIMEOUT_SECONDS)
