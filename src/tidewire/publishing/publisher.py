"""The publisher: moves events from the outbox to Redis in batches. Every process that commits events has one.

Only one publisher at a time has its turn, which expires by the database's clock. A process that was suspended delays
the others by less than two seconds, and its late writes are refused by their numbers.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from functools import cache

from channels.layers import get_channel_layer
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from redis.exceptions import ResponseError

from tidewire.conf import settings
from tidewire.exceptions import RedisUnavailable
from tidewire.models import OutboxEvent
from tidewire.publishing import circuit_breaker, sequencing
from tidewire.publishing.background import background, refuse_greenlets
from tidewire.publishing.direct import publish_batch
from tidewire.redis.backoff import Backoff
from tidewire.streams import Encoded
from tidewire.streams.redis import stream_store
from tidewire.substitutes import substitute

logger = logging.getLogger(__name__)

# Timeout of Redis per batch, shorter than a turn, so that no other publisher can begin in the meantime.
PUBLISH_TIMEOUT_SECONDS = 1.0
# Under load, events are collected for this long. A single event must not wait.
PACE_SECONDS = 0.05
# Above a hundred events a second the cost of a batch matters more to the saves beside it than 50 ms to a reader.
PACE_SECONDS_PER_EVENT, LONGEST_PACE_SECONDS = 0.01, 0.1
# A topic with refused events is skipped for this long, so that it cannot delay the others.
REFUSED_SECONDS = 10.0
# First and longest interval of retries while another publisher has its turn, or events cannot be numbered yet.
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.02, 0.25
# First and longest interval of retries while Redis or the database is unavailable.
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.5, 2.0
# A process that ends may wait this long for its last events. After that the relay publishes them.
EXIT_SECONDS = 1.0
# The thread keeps its connection to the database for this long after the last event.
LINGER_SECONDS = 1.0


class Publisher:
    """The publisher of one process. Must not be shared by threads."""

    def __init__(self) -> None:
        name = f"{socket.gethostname()[:60]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._turn = sequencing.Turn(name)
        self._refused: dict[str, float] = {}

    def publish(self, count: Callable[[float], None] = lambda _count: None) -> bool:
        """Publish until no event is waiting. `count` is called with the size of each batch.

        Returns False if events may still wait: another publisher has its turn, or a topic was refused. Raises
        `RedisUnavailable` or a `DatabaseError`, after which other publishers can have their turn at once.
        """
        done: list[int] = []
        ahead: dict[str, int] = {}
        while True:
            self._refused = {topic: until for topic, until in self._refused.items() if until > time.monotonic()}
            began = time.monotonic()
            batch = sequencing.advance(self._turn, done=done, ahead=ahead, excluding=self._refused)
            if batch is None:
                return False
            self._refuse(batch.failed)
            if not batch.rows:
                return not (batch.waiting or self._refused)
            if time.monotonic() - self._turn.since > sequencing.MAX_TURN.total_seconds():
                # This process was suspended beyond its turn: another publisher may have had one, so take a new turn
                # before sending.
                done, ahead = [], {}
                continue
            try:
                done, ahead = self._send(batch)
            except RedisUnavailable:
                sequencing.end_turn(self._turn)
                raise
            count(len(done))
            if len(batch.rows) < sequencing.BATCH:
                pace = min(max(PACE_SECONDS, PACE_SECONDS_PER_EVENT * len(batch.rows)), LONGEST_PACE_SECONDS)
                time.sleep(max(began + pace - time.monotonic(), 0.0))

    def _send(self, batch: sequencing.Batch) -> tuple[list[int], dict[str, int]]:
        """Send a batch to Redis. Returns the finished rows, and the sequence numbers of streams that are ahead."""
        topics: dict[str, list[Encoded]] = {}
        for row in batch.rows:
            # The number is inserted into the text: the event may come from a newer version of the project than this
            # process.
            body = f'{{"sequence":{row.sequence},{row.body[1:]}'
            topics.setdefault(row.topic, []).append(Encoded(row.topic, str(row.event_id), body, row.sequence))
        options = settings()
        layer = get_channel_layer(options.CHANNEL_LAYER)
        assert layer is not None
        work = publish_batch(topics, streams=stream_store(), layer=layer, prefix=options.PREFIX)
        results = background().run(work, seconds=PUBLISH_TIMEOUT_SECONDS)
        done: set[str] = set()
        ahead: dict[str, int] = {}
        for topic, result in results.items():
            if isinstance(result, ResponseError):
                logger.error("events of topic %s wait, other topics' do not: %s", topic, result)
                self._refuse([topic])
                continue
            for event, appended in zip(topics[topic], result, strict=True):
                if appended.stream_sequence is None:
                    done.add(event.id)
                else:
                    ahead[topic] = appended.stream_sequence
        return [row.id for row in batch.rows if str(row.event_id) in done], ahead

    def _refuse(self, topics: Iterable[str]) -> None:
        self._refused |= dict.fromkeys(topics, time.monotonic() + REFUSED_SECONDS)


class PublisherThread:
    """The publisher thread of a process: sleeps until an event is committed."""

    def __init__(self) -> None:
        self._due = threading.Event()
        self._idle = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._publisher = Publisher()

    def wake(self) -> None:
        """Publish soon; returns at once."""
        with self._lock:
            self._idle.clear()
            self._due.set()
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="tidewire-publisher", daemon=True)
                thread.start()
                self._thread = thread

    def finish(self) -> None:
        """Wait until no event of this process is waiting, for `EXIT_SECONDS` at most."""
        # In the child of a fork the thread does not run.
        if self._thread is not None and self._thread.is_alive():
            self._idle.wait(EXIT_SECONDS)

    def stop(self) -> None:
        """End the thread after its batch. Other publishers take the remaining events."""
        self._stopping.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._due.wait(LINGER_SECONDS):
                close_old_connections()
                self._due.wait()
            self._due.clear()
            try:
                self._publish()
            except Exception:  # The thread is the process's only publisher and must survive for the next event.
                logger.exception("publishing failed; the relay or the next event continues")
                connection.close()
            with self._lock:
                if not self._due.is_set():
                    self._idle.set()
        connection.close()

    def _publish(self) -> None:
        """Publish until no event is waiting."""
        polls = Backoff(FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS)
        retries = Backoff(FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS)
        while not self._stopping.is_set():
            try:
                if self._publisher.publish() or not OutboxEvent.objects.exists():
                    return
                wait = polls.next_delay()
            except RedisUnavailable as error:
                # Pages can then skip Redis.
                circuit_breaker.READS.record_failure()
                wait = retries.next_delay()
                logger.warning("events wait for Redis, %.1f s until the next attempt: %s", wait, error)
            except (DatabaseError, InterfaceError) as error:
                connection.close()
                wait = retries.next_delay()
                logger.warning("events wait for the database, %.1f s until the next attempt: %s", wait, error)
            self._stopping.wait(wait)


@cache
def _of_process(_pid: int) -> PublisherThread:
    refuse_greenlets()
    thread = PublisherThread()
    # A command may end right after its commit. `atexit` is too late: executors, which resolve Redis's name, end first.
    threading._register_atexit(thread.finish)  # type: ignore[attr-defined]  # noqa: SLF001
    return thread


def wake() -> None:
    """Publish soon, in a thread of this process; returns at once. After a fork the child has its own thread."""
    if substitute("publisher") is None:
        _of_process(os.getpid()).wake()
