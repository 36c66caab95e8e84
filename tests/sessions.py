"""`python -m tests.sessions ada bob`, in a stack's environment: log these users in, print name -> Cookie as JSON.

Logging in through the page would spend most of a test hashing passwords. `--tickets` adds the ticket that a page sets.
"""

import json
import sys

import django


def main(names: list[str], *, tickets: bool) -> dict[str, str]:
    django.setup()
    from django.conf import settings  # noqa: PLC0415 - the settings need the setup above
    from django.contrib.auth import get_user_model  # noqa: PLC0415

    from testkit.login_sessions import create_session  # noqa: PLC0415 - models need the setup above
    from tidewire.sessions import session_mark  # noqa: PLC0415
    from tidewire.stamps import read_stamp  # noqa: PLC0415
    from tidewire.ticket import COOKIE, Ticket  # noqa: PLC0415

    stamp = read_stamp() if tickets else None

    cookies = {}
    for name in names:
        user, _created = get_user_model().objects.get_or_create(username=name)
        key = create_session(user)
        cookies[name] = f"{settings.SESSION_COOKIE_NAME}={key}"
        if stamp is not None:
            cookies[name] += f"; {COOKIE}={Ticket.issue(user, session_mark(key), stamp).sign()}"
    return cookies


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--tickets"]
    json.dump(main(names, tickets="--tickets" in sys.argv), sys.stdout)
