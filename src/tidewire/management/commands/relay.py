"""`manage.py relay`: publishes the events that the committing processes could not publish."""

import logging
import signal
import threading
import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError, close_old_connections

from tidewire import metrics
from tidewire.exceptions import RedisUnavailable
from tidewire.models import PublisherTurn
from tidewire.publishing import outbox, pruning, relay_metrics
from tidewire.publishing.publisher import Publisher

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.5
LONGEST_SECONDS = 10.0
# An event of this age was left behind: the publisher of its own process would have published it by now.
RELAY_AFTER_SECONDS = 1.0
# Longer than a publisher may take for one batch, so no publisher makes progress.
STUCK_SECONDS = 10.0
PRUNE_SECONDS = 3600.0


class NoProgress(Exception):
    """Events are waiting, and neither the relay nor another publisher delivers them to Redis."""


class Relay:
    """Polls the outbox, and publishes the events that were left behind."""

    def __init__(self) -> None:
        self._publisher = Publisher()
        self._oldest: int | None = None
        self._since = self._pruned = time.monotonic()

    def poll(self) -> int:
        """Publish the events left behind, and return their number.

        Raises `RedisUnavailable`, `NoProgress` or a database error.
        """
        published = 0.0

        def count(events: float) -> None:
            nonlocal published
            published += events
            metrics.RELAY_PUBLISHED.inc(events)

        oldest = outbox.oldest()
        if oldest is not None and oldest[1] >= RELAY_AFTER_SECONDS and not self._publisher.publish(count):
            self._watch()
        if time.monotonic() - self._pruned > PRUNE_SECONDS:
            self._pruned = time.monotonic()
            pruning.prune()
        return int(published)

    def _watch(self) -> None:
        """Raise if the oldest event has been the same for long, although another publisher has its turn."""
        oldest = outbox.oldest()
        now = time.monotonic()
        if oldest is None or oldest[0] != self._oldest:
            self._oldest, self._since = oldest and oldest[0], now
        elif now - self._since > STUCK_SECONDS:
            holder = PublisherTurn.objects.values_list("holder", flat=True).first()
            raise NoProgress(f"event {oldest[0]} has waited for {oldest[1]:.0f} s; the last publisher was {holder}")


class Command(BaseCommand):
    help = "Publish committed events that their own process could not publish."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--metrics",
            type=_address,
            metavar="HOST:PORT",
            help="Where to serve Prometheus's /metrics; nowhere by default. Never behind the public proxy.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        # A relay that cannot poll is late from its start; set before the first scrape, which would otherwise show 1970.
        metrics.RELAY_LAST_POLL_SECONDS.set_to_current_time()
        if options["metrics"]:
            host, port = options["metrics"]
            try:
                relay_metrics.listen(host, port)
            except (OSError, OverflowError) as error:
                raise CommandError(f"relay did not start: --metrics {host}:{port} cannot be had: {error}") from None
        logger.info("relay started")
        relay = Relay()
        wait = INTERVAL_SECONDS
        while not stop.wait(wait):
            try:
                published = relay.poll()
                wait = INTERVAL_SECONDS
                metrics.RELAY_LAST_POLL_SECONDS.set_to_current_time()
                if published:
                    logger.info("relay published %d events", published)
            except NoProgress as error:
                # Another publisher may stop at any moment, so the relay keeps its interval.
                metrics.RELAY_FAILURES.labels("publisher").inc()
                logger.warning("%s", error)
            except (RedisUnavailable, DatabaseError, InterfaceError) as error:
                # The database or Redis is unavailable: increase the interval.
                wait = min(wait * 2, LONGEST_SECONDS)
                metrics.RELAY_FAILURES.labels("redis" if isinstance(error, RedisUnavailable) else "database").inc()
                logger.warning("relay waits %.1f s: %s", wait, error)
            close_old_connections()
        logger.info("relay stopped")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ArgumentTypeError(f"host:port is wanted, not {text!r}")
    return host.strip("[]"), int(port)
