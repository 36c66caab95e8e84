"""`python -m tests.faults.rows AFTER` in a stack's environment: prints the committed notifications as JSON.

The database defines which events are due: (sequence number, seconds since 1970), in the order of publishing.
"""

import json
import sys
import time

import django

# A publisher numbers events some milliseconds after their commits, or after an outage.
NUMBERED_SECONDS = 20.0


def main(after: int) -> list[tuple[int, float]]:
    django.setup()
    from dashboard.models import Notification  # noqa: PLC0415 - models need the setup above

    end = time.monotonic() + NUMBERED_SECONDS
    while Notification.objects.filter(sequence=None).exists() and time.monotonic() < end:
        time.sleep(0.1)
    rows = Notification.objects.filter(sequence__gt=after).order_by("sequence").values_list("sequence", "created_at")
    return [(sequence, at.timestamp()) for sequence, at in rows]


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1])), sys.stdout)
