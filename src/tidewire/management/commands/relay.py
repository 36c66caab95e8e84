"""`manage.py relay`: publishes events that were committed while Redis was away, in order, for ever."""

import logging
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, close_old_connections

from tidewire import outbox
from tidewire.exceptions import NoRedis

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.5
LONGEST_SECONDS = 10.0


class Command(BaseCommand):
    help = "Publish committed events that their own process could not publish."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        logger.info("relay started")
        wait = INTERVAL_SECONDS
        while not stop.wait(wait):
            try:
                published = outbox.relay()
                wait = INTERVAL_SECONDS
                if published:
                    logger.info("relay published %d events", published)
            except (NoRedis, OperationalError, InterfaceError) as error:
                # The database or Redis is away: ask less and less often.
                wait = min(wait * 2, LONGEST_SECONDS)
                logger.warning("relay waits %.1f s: %s", wait, error)
            close_old_connections()
        logger.info("relay stopped")
