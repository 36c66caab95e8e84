"""`python -m tests.faults.rows AFTER` in a stack's environment: the notifications that were committed, as JSON.

The database is the truth about what was due: (id, seconds since 1970), oldest first.
"""

import json
import sys

import django


def main(after: int) -> list[tuple[int, float]]:
    django.setup()
    from dashboard.models import Notification  # noqa: PLC0415 - models need the setup above

    rows = Notification.objects.filter(pk__gt=after).order_by("pk").values_list("pk", "created_at")
    return [(pk, at.timestamp()) for pk, at in rows]


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1])), sys.stdout)
