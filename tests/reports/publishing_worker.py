"""A process of `tests.reports.publishing`: saves or publishes in a loop.

Run as a file, so that PYTHONPATH selects the commit of the product to measure. Prints `ready`, waits for a line, works,
and prints a JSON object.
"""

import contextlib
import inspect
import json
import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable
from importlib import import_module

import django


def save(threads: int, seconds: float, first: int, *, publishing: bool) -> dict[str, float]:
    """Save documents as fast as possible, each of `threads` threads its own document."""
    from django.contrib.auth.models import User  # noqa: PLC0415 - models need the setup
    from django.db import connection  # noqa: PLC0415

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
    saves = [0] * threads
    start, end = threading.Barrier(threads + 1), [0.0]

    def run(number: int) -> None:
        document = documents[number]
        start.wait()
        while time.monotonic() < end[0]:
            document = actions.update_document(
                users[number],
                getattr(document, named_by),
                version=document.version,
                title=document.title,
                body=f"{saves[number]} {'x' * 1000}",
            )
            saves[number] += 1
        connection.close()

    savers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for saver in savers:
        saver.start()
    print("ready", flush=True)
    sys.stdin.readline()
    end[0] = time.monotonic() + seconds
    start.wait()
    for saver in savers:
        saver.join()
    return {"saves": sum(saves)}


def drain(events: int) -> dict[str, float]:
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
    return {"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}


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
    print(json.dumps(work(**job)), flush=True)


if __name__ == "__main__":
    main()
