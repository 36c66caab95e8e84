"""`PublishedEvents`: the events of a block, as their commit would make them visible."""

from uuid import UUID

from django.db import transaction
from django.test import TestCase, TransactionTestCase

from tests.unit.tidewire.fakes import Said
from tidewire.exceptions import NotInTransaction
from tidewire.publish import publish
from tidewire.publishing import outbox, publisher
from tidewire.testing import PublishedEvents


def say(number):
    publish("talk", Said(id=UUID(int=number), text=f"word {number}"))


class PublishedTests:
    """The same in a test that never commits its transaction, and in one with real commits."""

    def setUp(self):
        self.wake, publisher.wake = publisher.wake, lambda: None

    def tearDown(self):
        publisher.wake = self.wake
        self.assertEqual(outbox.watchers, [])

    def test_committed_events_are_there_in_their_order(self):
        with PublishedEvents() as published:
            with transaction.atomic():
                say(1)
                with transaction.atomic():
                    say(2)
            self.assertEqual(published.events, [])
            with transaction.atomic():
                say(3)
        self.assertEqual([event.text for event in published.events], ["word 1", "word 2", "word 3"])
        self.assertEqual(published.expect("test.said", text="word 2").id, UUID(int=2))

    def test_what_was_rolled_back_is_not_there(self):
        with PublishedEvents() as published:
            with self.assertRaises(ZeroDivisionError), transaction.atomic():
                say(1)
                raise ZeroDivisionError
            with transaction.atomic():
                with self.assertRaises(ZeroDivisionError), transaction.atomic():
                    say(2)
                    raise ZeroDivisionError
                say(3)
        self.assertEqual([event.text for event in published.events], ["word 3"])

    def test_what_is_not_committed_yet_is_not_there(self):
        with transaction.atomic():
            with PublishedEvents() as published:
                say(1)
            published.expect_nothing()

    def test_a_published_event_is_there_after_it_has_left_the_outbox(self):
        """The publisher of a test with real commits may be faster than the test."""
        with PublishedEvents() as published:
            with transaction.atomic():
                say(1)
            if isinstance(self, TransactionTestCase) and not isinstance(self, TestCase):
                outbox.OutboxEvent.objects.all().delete()
        published.expect("test.said")

    def test_errors_list_the_events(self):
        with PublishedEvents() as published:
            published.expect_nothing()
        with self.assertRaisesRegex(AssertionError, r"test.said was not published; nothing was"):
            published.expect("test.said")
        with PublishedEvents() as published, transaction.atomic():
            pass
        with PublishedEvents() as published, transaction.atomic():
            say(1)
        with self.assertRaisesRegex(AssertionError, r"test.said with {'text': 'x'} was not published; .*word 1"):
            published.expect("test.said", text="x")
        with self.assertRaisesRegex(AssertionError, r"an event was published; .*word 1"):
            published.expect_nothing()
        published.expect_nothing("another.type")

    def test_a_forgotten_transaction_fails_as_in_production(self):
        with PublishedEvents() as published, self.assertRaises(NotInTransaction):
            say(1)
        published.expect_nothing()


class InTestCase(PublishedTests, TestCase):
    pass


class InTransactionTestCase(PublishedTests, TransactionTestCase):
    pass
