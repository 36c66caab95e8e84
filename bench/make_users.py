"""Creates the users and sessions of the authenticated measures: `python -m bench.make_users COUNT`.

Runs under tidewire's settings; stock Channels reads the same sessions from the same SQLite with the same key.
"""

from __future__ import annotations

import datetime as dt
import sys
import time

import django

django.setup()

from django.conf import settings  # noqa: E402 - models, and the imports after them, need the setup
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.sessions.backends.base import VALID_KEY_CHARS  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402
from django.utils.crypto import get_random_string  # noqa: E402

from bench.paths import REVOCATIONS_AT, SESSIONS, TICKETS  # noqa: E402
from testkit.login_sessions import session_data  # noqa: E402
from tidewire.auth.sessions import session_hash  # noqa: E402
from tidewire.auth.ticket import COOKIE, Ticket  # noqa: E402
from tidewire.streams import Stamp  # noqa: E402
from tidewire.topics import Position  # noqa: E402


def main(count: int) -> None:
    """Fill the database, and write a line with a request header for each user, without and with a ticket."""
    call_command("migrate", verbosity=0)
    User.objects.bulk_create(
        [User(username=f"user{i:05}", password=f"!{i:040}") for i in range(count)], ignore_conflicts=True
    )
    expires = timezone.now() + dt.timedelta(days=1)
    users = list(User.objects.order_by("username")[:count])
    sessions = Session.objects.bulk_create([_session(user, expires) for user in users])
    with SESSIONS.open("w", encoding="ascii") as plain, TICKETS.open("w", encoding="ascii") as ticketed:
        for user, session in zip(users, sessions, strict=True):
            line = f"Cookie: {settings.SESSION_COOKIE_NAME}={session.session_key}"
            plain.write(f"{line}\n")
            ticketed.write(f"{line}; {COOKIE}={_ticket(user, session)}\n")


def _session(user: User, expires: dt.datetime) -> Session:
    key = get_random_string(32, VALID_KEY_CHARS)
    return Session(session_key=key, session_data=SessionStore().encode(session_data(user)), expire_date=expires)


def _ticket(user: User, session: Session) -> str:
    position = Position.parse(REVOCATIONS_AT)
    assert position is not None
    return Ticket.issue(user, session_hash(session.session_key), Stamp(position, int(time.time() * 1000))).sign()


if __name__ == "__main__":
    main(int(sys.argv[1]))
