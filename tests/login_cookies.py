"""`python -m tests.login_cookies ada bob`, in a stack's environment: log these users in, print name -> Cookie as JSON.

Logging in through the page would spend most of a test hashing passwords. `--tickets` adds the ticket that a page sets.
Self-contained, because tests of containers run this source inside of an image.
"""

import json
import sys

import django


def main(names: list[str], *, tickets: bool) -> dict[str, str]:
    django.setup()
    from django.conf import settings  # noqa: PLC0415 - the settings need the setup above
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model  # noqa: PLC0415
    from django.contrib.sessions.backends.db import SessionStore  # noqa: PLC0415 - models need the setup above

    from tidewire.auth.sessions import session_hash  # noqa: PLC0415
    from tidewire.auth.stamps import read_stamp  # noqa: PLC0415
    from tidewire.auth.ticket import COOKIE, Ticket  # noqa: PLC0415

    stamp = read_stamp() if tickets else None

    cookies = {}
    for name in names:
        user, _created = get_user_model().objects.get_or_create(username=name)
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        cookies[name] = f"{settings.SESSION_COOKIE_NAME}={session.session_key}"
        if stamp is not None:
            cookies[name] += f"; {COOKIE}={Ticket.issue(user, session_hash(session.session_key), stamp).sign()}"
    return cookies


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--tickets"]
    json.dump(main(names, tickets="--tickets" in sys.argv), sys.stdout)
