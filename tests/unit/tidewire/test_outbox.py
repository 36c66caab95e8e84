"""The outbox: with the transaction or not at all, in order, and never at the cost of the request."""

import contextlib
import logging
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from tests.unit.tidewire.fakes import Said, finish
from tidewire import metrics, outage, outbox
from tidewire.exceptions import NoRedis, NotInTransaction
from tidewire.models import OutboxEvent
from tidewire.requests import RequestIdMiddleware

pytestmark = pytest.mark.django_db(transaction=True)


class Redis:
    """What was published, in order; away after so many more."""

    def __init__(self) -> None:
        self.published: list[OutboxEvent] = []
        self.away = False
        self.accepts = 10**9
        self.error: Exception | None = None
        self.tried = 0

    async def publish_row(self, row: OutboxEvent) -> None:
        self.tried += 1
        if self.error is not None:
            raise self.error
        if self.away or not self.accepts:
            raise NoRedis("away")
        self.accepts -= 1
        self.published.append(row)

    @property
    def texts(self) -> list[str]:
        return [Said.decode(row.body).text for row in self.published]


@pytest.fixture
def redis(monkeypatch):
    made = Redis()
    monkeypatch.setattr(outbox, "_publish_row", made.publish_row)
    monkeypatch.setattr(outbox, "background", lambda: SimpleNamespace(run=lambda work, **_: finish(work)))
    monkeypatch.setattr(outage, "WRITES", outage.Outage())
    return made


def said(number: int) -> Said:
    return Said(id=UUID(int=number), text=f"word {number}")


def say(*numbers: int) -> None:
    with transaction.atomic():
        for number in numbers:
            outbox.publish("talk", said(number))


def grow_old() -> None:
    OutboxEvent.objects.update(created_at=timezone.now() - timedelta(seconds=outbox.LEFT_SECONDS + 1))


def end_outage(monkeypatch) -> None:
    monkeypatch.setattr(outage, "WRITES", outage.Outage())


class TestPublish:
    def test_an_event_is_published_when_its_transaction_commits(self, redis):
        """Not before, and then at once; nothing is left."""
        with transaction.atomic():
            outbox.publish("talk", said(1))
            assert OutboxEvent.objects.count() == 1
            assert redis.published == []
        assert redis.texts == ["word 1"]
        assert OutboxEvent.objects.count() == 0

    def test_what_is_rolled_back_is_never_published(self, redis):
        """The event goes with what it tells of."""
        with contextlib.suppress(RuntimeError), transaction.atomic():
            outbox.publish("talk", said(1))
            raise RuntimeError
        say(2)
        assert redis.texts == ["word 2"]

    def test_what_is_rolled_back_within_is_never_published(self, redis):
        """A savepoint that is given up takes its events with it."""
        with transaction.atomic():
            outbox.publish("talk", said(1))
            with contextlib.suppress(RuntimeError), transaction.atomic():
                outbox.publish("talk", said(2))
                raise RuntimeError
            outbox.publish("talk", said(3))
        assert redis.texts == ["word 1", "word 3"]

    def test_events_of_a_transaction_keep_their_order(self, redis):
        """The order of the calls."""
        say(3, 1, 2)
        assert redis.texts == ["word 3", "word 1", "word 2"]

    def test_outside_a_transaction_an_event_is_refused(self, redis):
        """Else it could be told of what is then rolled back; the message names the event."""
        with pytest.raises(NotInTransaction, match=r"test\.said: publish inside transaction\.atomic\(\)"):
            outbox.publish("talk", said(1))
        assert OutboxEvent.objects.count() == 0

    def test_an_event_of_another_topic_is_refused(self, redis):
        """The topic is said twice, so that a slip of one shows."""
        with pytest.raises(ValueError, match=r"test\.said is an event of 'talk', not of 'other'"), transaction.atomic():
            outbox.publish("other", said(1))

    def test_the_request_s_id_travels_with_its_events(self, redis):
        """From nginx through the page to every browser, unless the event names one itself."""

        def view(_request):
            with transaction.atomic():
                outbox.publish("talk", said(1))
                outbox.publish("talk", said(2).model_copy(update={"request_id": "its own"}))

        RequestIdMiddleware(view)(SimpleNamespace(headers={"X-Request-ID": "5f2d"}))
        say(3)
        assert [Said.decode(row.body).request_id for row in redis.published] == ["5f2d", "its own", None]

    def test_what_is_kept_has_no_offset(self, redis):
        """Redis assigns it."""
        with transaction.atomic():
            outbox.publish("talk", said(1).model_copy(update={"offset": 9}))
        assert Said.decode(redis.published[0].body).offset is None


class TestOutage:
    def test_redis_being_away_fails_nothing(self, redis, caplog):
        """The request succeeds, and its event waits."""
        redis.away = True
        with caplog.at_level(logging.WARNING):
            say(1)
        assert OutboxEvent.objects.count() == 1
        assert "the relay will publish" in caplog.text

    def test_only_one_request_finds_out(self, redis):
        """The others do not wait for a Redis that a moment ago was away."""
        redis.away = True
        say(1)
        say(2)
        say(3)
        assert redis.tried == 1
        assert OutboxEvent.objects.count() == 3

    def test_an_error_that_nobody_foresaw_fails_no_request_either(self, redis, caplog):
        """What was committed has happened: it is logged, and the event waits."""
        redis.error = KeyError("a bug")
        with caplog.at_level(logging.ERROR):
            say(1)
        assert OutboxEvent.objects.count() == 1
        assert "a bug" in caplog.text

    def test_what_was_left_is_published_first(self, redis, monkeypatch):
        """The next event that gets through does not overtake."""
        redis.away = True
        say(1)
        say(2)
        redis.away = False
        end_outage(monkeypatch)
        say(3)
        assert redis.texts == ["word 1", "word 2", "word 3"]
        assert OutboxEvent.objects.count() == 0

    def test_what_went_before_redis_left_is_not_published_again(self, redis, monkeypatch):
        """A batch that is broken off keeps what it did."""
        redis.away = True
        say(1, 2, 3, 4)
        redis.away = False
        redis.accepts = 2
        end_outage(monkeypatch)
        say(5)
        assert redis.texts == ["word 1", "word 2"]
        assert OutboxEvent.objects.count() == 3
        redis.accepts = 100
        grow_old()
        assert outbox.relay() == 3
        assert redis.texts == [f"word {number}" for number in (1, 2, 3, 4, 5)]

    def test_a_request_publishes_so_much_of_what_was_left(self, redis, monkeypatch):
        """After a long outage a request is not the one that makes up for all of it."""
        monkeypatch.setattr(outbox, "BATCH", 3)
        monkeypatch.setattr(outbox, "BATCHES", 2)
        redis.away = True
        say(*range(1, 21))
        redis.away = False
        end_outage(monkeypatch)
        say(21)
        assert redis.texts == [f"word {number}" for number in range(1, 7)]


class TestRelay:
    def test_what_is_young_is_left_to_its_own_process(self, redis):
        """A relay that took it would compete with the request that is just publishing it."""
        redis.away = True
        say(1)
        redis.away = False
        assert outbox.relay() == 0
        assert redis.published == []

    def test_what_was_left_is_published_in_order(self, redis):
        """Everything that waits behind the oldest goes with it, however young."""
        redis.away = True
        say(1)
        grow_old()
        say(2)
        redis.away = False
        assert outbox.relay() == 2
        assert redis.texts == ["word 1", "word 2"]
        assert outbox.relay() == 0

    def test_more_than_a_batch_is_published_too(self, redis, monkeypatch):
        """Batch after batch, in one order."""
        monkeypatch.setattr(outbox, "BATCH", 3)
        redis.away = True
        say(*range(1, 11))
        redis.away = False
        grow_old()
        assert outbox.relay() == 10
        assert redis.texts == [f"word {number}" for number in range(1, 11)]

    def test_what_it_published_is_counted_also_where_the_rest_failed(self, redis, monkeypatch):
        """A batch that Redis took half of is half a batch."""
        monkeypatch.setattr(outbox, "BATCH", 3)
        before = metrics.RELAY_PUBLISHED._value.get()
        redis.away = True
        say(*range(1, 11))
        grow_old()
        redis.away, redis.accepts = False, 5
        with pytest.raises(NoRedis):
            outbox.relay()
        assert metrics.RELAY_PUBLISHED._value.get() - before == len(redis.published) == 5

    def test_what_a_request_publishes_is_not_the_relays(self, redis):
        """The relay's count says how often others failed."""
        before = metrics.RELAY_PUBLISHED._value.get()
        say(1)
        assert redis.texts == ["word 1"]
        assert metrics.RELAY_PUBLISHED._value.get() == before

    def test_the_age_of_the_oldest_is_measured_at_each_look(self, redis):
        """Also where nothing is left to publish: then it is 0."""
        redis.away = True
        say(1)
        grow_old()
        with pytest.raises(NoRedis):
            outbox.relay()
        assert metrics.OUTBOX_OLDEST_SECONDS._value.get() >= outbox.LEFT_SECONDS
        redis.away = False
        assert (outbox.relay(), outbox.relay()) == (1, 0)
        assert metrics.OUTBOX_OLDEST_SECONDS._value.get() == 0

    def test_without_redis_the_relay_is_told(self, redis):
        """So that it asks less and less often; nothing is lost."""
        redis.away = True
        say(1)
        grow_old()
        with pytest.raises(NoRedis):
            outbox.relay()
        assert OutboxEvent.objects.count() == 1

    def test_an_event_that_this_version_does_not_know_is_published(self, redis):
        """In a rolling deployment the relay may be older than the page: rows are passed on as they are."""
        row = OutboxEvent.objects.create(event_id="1", topic="talk", type="from.the.future", body='{"type":"x"}')
        grow_old()
        assert outbox.relay() == 1
        assert redis.published == [row]

    def test_what_waits_is_measured(self, redis):
        """The number to watch while Redis is away."""
        redis.away = True
        say(1, 2)
        assert outbox.waiting() == 2
        assert metrics.OUTBOX_WAITING._value.get() == 2
        assert metrics.OUTBOX_OLDEST_SECONDS._value.get() < 60
        grow_old()
        outbox.waiting()
        assert metrics.OUTBOX_OLDEST_SECONDS._value.get() >= outbox.LEFT_SECONDS
        OutboxEvent.objects.all().delete()
        assert outbox.waiting() == metrics.OUTBOX_OLDEST_SECONDS._value.get() == 0


def test_an_event_is_kept_once(redis):
    """The same event in two transactions is a bug of the project, which the database refuses."""
    redis.away = True
    say(1)
    with pytest.raises(Exception, match="UNIQUE"):
        say(1)
