"""A process of `tests.reports.publishing`: saves or publishes in a loop.

Run as a file, so that PYTHONPATH selects the commit of the product to measure. Prints `ready`, and for each line of its
input works and prints a JSON object. `save` reads the seconds to work for from the line.
"""

import contextlib
import inspect
import json
import logging
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import django


def save(threads: int, first: int, *, publishing: bool) -> None:
    """Save documents as fast as possible, each of `threads` threads its own document."""
    from django.contrib.auth.models import User  # noqa: PLC0415 - models need the setup

    from dashboard import actions  # noqa: PLC0415

    if not publishing:
        # Earlier commits have the function in the module `outbox`.
        getattr(actions, "outbox", actions).publish = lambda _topic, _event: None
    users, documents = [], []
    for number in range(first, first + threads):
        user, _ = User.objects.get_or_create(username=f"saver-{number}")
        users.append(user)
        documents.append(actions.create_document(user, title=f"Document {number}", body="x" * 1000))
    named_by = "pk" if "pk" in inspect.signature(actions.update_document).parameters else "slug"

    def run(number: int, end: float) -> int:
        document, saves = documents[number], 0
        while time.monotonic() < end:
            document = actions.update_document(
                users[number],
                getattr(document, named_by),
                version=document.version,
                title=document.title,
                body=f"{saves} {time.monotonic()} {'x' * 1000}",
            )
            saves += 1
        documents[number] = document
        return saves

    print("ready", flush=True)
    with ThreadPoolExecutor(threads) as savers:
        for line in sys.stdin:
            end = time.monotonic() + float(line)
            saves = sum(savers.map(run, range(threads), [end] * threads))
            print(json.dumps({"saves": saves, "cpu": time.process_time()}), flush=True)


def drain(events: int) -> None:
    """Publish this number of waiting events with one publisher."""
    from django.db import transaction  # noqa: PLC0415 - models need the setup

    from dashboard.events import NotificationCreated  # noqa: PLC0415
    from dashboard.models import Notification  # noqa: PLC0415
    from tidewire.models import OutboxEvent  # noqa: PLC0415
    from tidewire.streams import Encoded  # noqa: PLC0415

    with transaction.atomic():
        rows = [
            Notification(event_id=uuid.uuid4(), actor_name="ada", verb="updated", slug="plan", title=f"Plan {number}")
            for number in range(events)
        ]
        Notification.objects.bulk_create(rows)
        created = []
        for row in rows:
            event = NotificationCreated(
                id=row.event_id,
                notification_id=row.pk,
                actor="ada",
                verb="updated",
                slug="plan",
                title=row.title,
                at=time_of(row),
            )
            encoded = Encoded.of(event)
            created.append(OutboxEvent(event_id=encoded.id, topic=encoded.topic, type=event.type, body=encoded.body))
        OutboxEvent.objects.bulk_create(created)
    publish = publisher_of_commit()
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu = time.monotonic(), time.process_time()
    while OutboxEvent.objects.exists():
        publish()
    print(json.dumps({"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}), flush=True)


def publisher_of_commit() -> Callable[[], object]:
    """Return the publisher's loop, or of a commit from before the publisher its relay's."""
    for name in ("tidewire.publishing.publisher", "tidewire.publisher"):
        with contextlib.suppress(ModuleNotFoundError):
            publish: Callable[[], object] = import_module(name).Publisher().publish
            return publish
    outbox = import_module("tidewire.outbox")
    outbox.LEFT_SECONDS = -1.0  # type: ignore[attr-defined]
    relay: Callable[[], object] = outbox.relay
    return relay


def time_of(row: object) -> object:
    from django.utils import timezone  # noqa: PLC0415

    return timezone.now()


def main() -> None:
    job = json.loads(sys.argv[1])
    django.setup()
    logging.disable(logging.INFO)
    work = save if job.pop("work") == "save" else drain
    work(**job)


if __name__ == "__main__":
    main()
