"""Run as `python -m loadtest.create_users 200` in a stack's environment: creates documents and load users.

All of them have one password. In production an option must permit this, and a password must be set.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

PASSWORD_VARIABLE = "LOADTEST_PASSWORD"  # noqa: S105 - the variable's name
# The variable for the name of a file, because containers receive secrets as files.
PASSWORD_FILE_VARIABLE = "LOADTEST_PASSWORD_FILE"  # noqa: S105 - the variable's name
# The cookie's name without HTTPS, as on a local stack: see dashboard.settings.
SESSION_COOKIE = "tidewire_session"
DEVELOPMENT_PASSWORD = "load"  # noqa: S105 - public on purpose, which is why production refuses it
# The list shows twenty documents a page, and with that many, editors seldom meet.
DOCUMENTS = 20


def username(number: int) -> str:
    return f"load-{number:05}"


def password() -> str:
    return _given_password() or DEVELOPMENT_PASSWORD


def _given_password() -> str:
    file = os.environ.get(PASSWORD_FILE_VARIABLE)
    return Path(file).read_text(encoding="utf-8").strip() if file else os.environ.get(PASSWORD_VARIABLE, "")


def refusal(*, environment: str, in_production: bool, has_password: bool) -> str | None:
    """Return the reason if load users must not be created here."""
    if environment == "development":
        return None
    if not in_production:
        return f"load users have one password for all: --in-production makes them in the {environment} environment"
    if not has_password:
        return f"neither {PASSWORD_VARIABLE} nor {PASSWORD_FILE_VARIABLE} is set: the development password is public"
    return None


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.create_users", description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--spare", type=int, default=0, help="so many more: workers number their users apart")
    parser.add_argument("--sessions", type=Path, default=None, help="log them all in, and write the sessions there")
    parser.add_argument("--in-production", action="store_true", help="make them although this is no development")
    parser.add_argument("--remove", action="store_true", help="remove all load users and what they wrote instead")
    options = parser.parse_args(arguments)

    import django  # noqa: PLC0415 - Locust's users import this module, and have no Django
    from django.conf import settings  # noqa: PLC0415

    django.setup()
    # Removal needs no password.
    has_password = options.remove or bool(_given_password())
    reason = refusal(
        environment=settings.TIDEWIRE_ENVIRONMENT, in_production=options.in_production, has_password=has_password
    )
    if reason:
        sys.stderr.write(f"refused: {reason}\n")
        return 1
    sys.stdout.write(_remove() if options.remove else _make(options.count + options.spare))
    if options.sessions:
        _write_sessions(options.sessions, options.count + options.spare)
    return 0


def _make(count: int) -> str:
    from django.contrib.auth.hashers import check_password, make_password  # noqa: PLC0415 - needs the setup above
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.db import transaction  # noqa: PLC0415

    from dashboard.models import Document  # noqa: PLC0415

    names = [username(number) for number in range(1, count + 1)]
    with transaction.atomic():
        known = dict(User.objects.filter(username__startswith="load-").values_list("username", "password"))
        # All users share a hash: each login costs the server the same, and the creation of users needs only one hash.
        hashed = next((each for each in known.values() if check_password(password(), each)), None)
        hashed = hashed or make_password(password())
        User.objects.bulk_create(User(username=name, password=hashed) for name in names if name not in known)
        User.objects.filter(username__in=names).exclude(password=hashed).update(password=hashed)
        author = User.objects.get(username=names[0])
        # Saves of a run change titles. Slugs keep their first words, and belong only to the load users.
        missing = DOCUMENTS - Document.objects.filter(author__username__startswith="load-").count()
        for number in range(DOCUMENTS - max(missing, 0), DOCUMENTS):
            title = f"load-{number + 1:02}"
            Document.objects.create(title=title, body="Written by the load test.", author=author, updated_by=author)
    new = len(set(names) - set(known))
    return f"load users: {len(names)}, of them new {new}; new documents: {max(missing, 0)}\n"


def read_sessions(path: str) -> dict[str, str]:
    """Return session keys by user from a file of `--sessions`, or none without a file."""
    return dict(json.loads(Path(path).read_text(encoding="utf-8"))) if path else {}


def _write_sessions(path: Path, count: int) -> None:
    """Create sessions as logins would. Hashing takes half a second of a core, too long for thousands of users."""
    from django.contrib.auth.models import User  # noqa: PLC0415 - needs the setup above
    from django.db import transaction  # noqa: PLC0415

    from testkit.login_sessions import create_session  # noqa: PLC0415

    with transaction.atomic():
        users = User.objects.filter(username__in=[username(number) for number in range(1, count + 1)])
        sessions = {user.username: create_session(user) for user in users}
    path.touch(mode=0o600)
    path.write_text(json.dumps(sessions), encoding="utf-8")


def _remove() -> str:
    from django.contrib.auth.models import User  # noqa: PLC0415 - needs the setup above

    from dashboard.models import Document  # noqa: PLC0415

    documents, _ = Document.objects.filter(author__username__startswith="load-").delete()
    users, _ = User.objects.filter(username__startswith="load-").delete()
    return f"removed: {documents} rows of documents, {users} rows of load users\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
