"""The outbox: an event is written with the transaction or not at all, and never delays the request."""

import contextlib
import logging
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models.functions import Now

from tests.unit.tidewire.fakes import Said
from tidewire import metrics
from tidewire.exceptions import NotInTransaction
from tidewire.models import OutboxEvent
from tidewire.publishing import outbox
from tidewire.requests import RequestIdMiddleware

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def woken(monkeypatch) -> list[int]:
    """Record the number of waiting events each time that the publisher is woken."""
    created: list[int] = []
    monkeypatch.setattr(outbox.publisher, "wake", lambda: created.append(OutboxEvent.objects.count()))
    return created


def said_event(number: int) -> Said:
    return Said(id=UUID(int=number), text=f"word {number}")


def publish_events(*numbers: int) -> None:
    with transaction.atomic():
        for number in numbers:
            outbox.publish("talk", said_event(number))


def texts() -> list[str]:
    return [Said.decode(row.body).text for row in OutboxEvent.objects.all()]


class TestPublish:
    def test_the_publisher_is_woken_when_the_transaction_commits(self, woken):
        """The publisher is not woken earlier."""
        with transaction.atomic():
            outbox.publish("talk", said_event(1))
            assert OutboxEvent.objects.count() == 1
            assert woken == []
        assert woken == [1]

    def test_what_is_rolled_back_is_never_published(self, woken):
        """The event is rolled back together with the change that it describes."""
        with contextlib.suppress(RuntimeError), transaction.atomic():
            outbox.publish("talk", said_event(1))
            raise RuntimeError
        assert (woken, texts()) == ([], [])

    def test_what_is_rolled_back_within_is_never_published(self, woken):
        """A savepoint that is rolled back takes its events with it."""
        with transaction.atomic():
            outbox.publish("talk", said_event(1))
            with contextlib.suppress(RuntimeError), transaction.atomic():
                outbox.publish("talk", said_event(2))
                raise RuntimeError
            outbox.publish("talk", said_event(3))
        assert texts() == ["word 1", "word 3"]

    def test_events_of_a_transaction_keep_their_order(self, woken):
        """The order is that of the calls."""
        publish_events(3, 1, 2)
        assert texts() == ["word 3", "word 1", "word 2"]

    def test_an_event_is_one_statement(self, monkeypatch, django_assert_max_num_queries):
        """Beside BEGIN and COMMIT there is no further statement, in particular none after the commit."""
        monkeypatch.setattr(outbox.publisher, "wake", lambda: None)
        with django_assert_max_num_queries(102):
            publish_events(*range(100))

    def test_events_at_once_are_one_statement(self, woken, django_assert_max_num_queries):
        """Events keep the order of the list. BEGIN, COMMIT and the fixture's count are the other statements."""
        with django_assert_max_num_queries(4), transaction.atomic():
            outbox.publish_all("talk", [said_event(number) for number in range(100)])
            outbox.publish_all("talk", [])
        assert texts() == [f"word {number}" for number in range(100)]
        assert woken == [100]

    def test_outside_a_transaction_an_event_is_refused(self, woken):
        """The event could describe a change that is then rolled back. The message must name the event."""
        with pytest.raises(NotInTransaction, match=r"test\.said: publish inside transaction\.atomic\(\)"):
            outbox.publish("talk", said_event(1))
        assert OutboxEvent.objects.count() == 0

    def test_an_event_of_another_topic_is_refused(self, woken):
        """The topic is given twice, so that a mistake in one of them is detected."""
        with pytest.raises(ValueError, match=r"test\.said is an event of 'talk', not of 'other'"), transaction.atomic():
            outbox.publish("other", said_event(1))

    @pytest.mark.parametrize("topic", ["room lobby", "tält", "a" * 81, ""])
    def test_an_event_of_a_topic_that_nothing_can_follow_is_refused(self, woken, topic):
        """Some channel layers refuse such a name, and would refuse every event of its batch forever."""
        with pytest.raises(ValueError, match="topic"), transaction.atomic():
            outbox.publish(topic, Said(topic=topic, id=UUID(int=1), text="x"))
        assert not OutboxEvent.objects.exists()

    def test_the_request_s_id_travels_with_its_events(self, woken):
        """From nginx through the page to every browser, unless the event has its own id."""

        def view(_request):
            with transaction.atomic():
                outbox.publish("talk", said_event(1))
                outbox.publish("talk", said_event(2).model_copy(update={"request_id": "its own"}))

        RequestIdMiddleware(view)(SimpleNamespace(headers={"X-Request-ID": "5f2d"}))
        publish_events(3)
        assert [Said.decode(row.body).request_id for row in OutboxEvent.objects.all()] == ["5f2d", "its own", None]

    def test_what_is_kept_has_neither_offset_nor_number(self, woken):
        """Both are assigned when the event is published."""
        with transaction.atomic():
            outbox.publish("talk", said_event(1).model_copy(update={"offset": 9, "sequence": 9}))
        event = Said.decode(OutboxEvent.objects.get().body)
        assert (event.offset, event.sequence) == (None, None)

    def test_a_publisher_that_cannot_be_woken_fails_no_request(self, monkeypatch, caplog):
        """The transaction has been committed, so the error is logged, and the relay publishes the event."""

        def fail() -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(outbox.publisher, "wake", fail)
        with caplog.at_level(logging.ERROR):
            publish_events(1)
        assert OutboxEvent.objects.count() == 1
        assert "can't start new thread" in caplog.text

    def test_an_event_is_kept_once(self, woken):
        """The same event in two transactions is a bug of the project, which the database must refuse."""
        publish_events(1)
        with pytest.raises(Exception, match="UNIQUE"):
            publish_events(1)


class TestAge:
    def test_what_waits_is_measured(self, woken):
        """The number to watch while Redis is unavailable."""
        publish_events(1, 2)
        assert outbox.count_waiting() == 2
        assert metrics.OUTBOX_WAITING._value.get() == 2
        assert metrics.OUTBOX_OLDEST_SECONDS._value.get() < 60
        OutboxEvent.objects.update(created_at=Now() - timedelta(seconds=90))
        outbox.count_waiting()
        assert 90 <= metrics.OUTBOX_OLDEST_SECONDS._value.get() < 150
        OutboxEvent.objects.all().delete()
        assert outbox.count_waiting() == metrics.OUTBOX_OLDEST_SECONDS._value.get() == 0

    def test_the_oldest_is_known_with_its_age(self, woken):
        """Without a waiting event the metric is 0."""
        publish_events(1, 2)
        OutboxEvent.objects.update(created_at=Now() - timedelta(seconds=90))
        oldest, seconds = outbox.oldest()
        assert oldest == OutboxEvent.objects.first().pk
        assert 90 <= seconds == metrics.OUTBOX_OLDEST_SECONDS._value.get() < 150
        OutboxEvent.objects.all().delete()
        assert outbox.oldest() is None
        assert metrics.OUTBOX_OLDEST_SECONDS._value.get() == 0

    @pytest.mark.parametrize("minutes", [-20, 20])
    def test_the_clock_of_this_host_does_not_matter(self, woken, monkeypatch, minutes):
        """The age uses the database's clock: a web host 20 minutes ahead must not write events of the future."""
        now = outbox.Now
        from django.utils import timezone  # noqa: PLC0415 - the clock that is moved

        real = timezone.now
        monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(minutes=minutes))
        publish_events(1)
        assert outbox.Now is now
        assert outbox.oldest()[1] < 60
