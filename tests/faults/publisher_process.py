"""`python -m tests.faults.publisher_process RATE` in a stack's environment: saves a document at this rate per second.

It calls the dashboard's own action, so that each save is a row, an outbox row and an event. Ends with its input.
"""

import json
import sys
import threading
import time

import django


def main(per_second: float) -> dict[str, int | str]:
    django.setup()
    from django.contrib.auth.models import User  # noqa: PLC0415 - models need the setup above
    from django.db import Error, close_old_connections  # noqa: PLC0415

    from dashboard import actions  # noqa: PLC0415

    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    user = User.objects.get(username="ada")
    document = actions.create_document(user, title="Faults", body="0")
    saved, failed, last = 0, 0, ""
    due = time.monotonic()
    while not stop.wait(max(due - time.monotonic(), 0)):
        # Limit the delay to a second, so that saves missed during a fault are not repeated in a burst.
        due = max(due + 1 / per_second, time.monotonic() - 1.0)
        try:
            document = actions.update_document(
                user, document.pk, version=document.version, title=document.title, body=str(saved)
            )
        except (Error, actions.Conflict) as error:
            failed, last = failed + 1, repr(error)
            # Like the end of a request, so that the next one connects again.
            close_old_connections()
            if isinstance(error, actions.Conflict) and error.theirs is not None:
                document = error.theirs
        else:
            saved += 1
    return {"saved": saved, "failed": failed, "last": last}


if __name__ == "__main__":
    json.dump(main(float(sys.argv[1])), sys.stdout)
