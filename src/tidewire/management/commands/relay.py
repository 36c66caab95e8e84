"""`manage.py relay`: publishes events that were committed while Redis was away, in order, for ever."""

import logging
import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, close_old_connections

from tidewire import metrics, outbox, relay_metrics
from tidewire.exceptions import NoRedis

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.5
LONGEST_SECONDS = 10.0


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
        # One that never gets to look is late from its start on; before the first scrape, which would see 1970.
        metrics.RELAY_LOOKED_SECONDS.set_to_current_time()
        if options["metrics"]:
            relay_metrics.listen(*options["metrics"])
        logger.info("relay started")
        wait = INTERVAL_SECONDS
        while not stop.wait(wait):
            try:
                published = outbox.relay()
                wait = INTERVAL_SECONDS
                metrics.RELAY_LOOKED_SECONDS.set_to_current_time()
                if published:
                    logger.info("relay published %d events", published)
            except (NoRedis, OperationalError, InterfaceError) as error:
                # The database or Redis is away: ask less and less often.
                wait = min(wait * 2, LONGEST_SECONDS)
                metrics.RELAY_FAILURES.labels("redis" if isinstance(error, NoRedis) else "database").inc()
                logger.warning("relay waits %.1f s: %s", wait, error)
            close_old_connections()
        logger.info("relay stopped")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ArgumentTypeError(f"host:port is wanted, not {text!r}")
    return host.strip("[]"), int(port)
