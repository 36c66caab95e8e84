"""Run as `python -m tests.reports.lockout [tries]`: an attacker guesses ada's password, and then ada logs in.

Prints the processor time of the first and of the last failed attempts, the growth of the database, and the response to
each login. The web service runs in this process with a database file of its own, without nginx and therefore without
nginx's rate limit.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# The largest body, roughly, that nginx accepts for /login/.
MORE = "x" * 7000
TRIES = 1000
# Number of attempts over which the time is averaged.
SAMPLE = 20


def main(tries: int, database: Path) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django  # noqa: PLC0415 - the settings must be named first
    from django.conf import settings  # noqa: PLC0415

    settings.DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(database)}}
    settings.LOGGING_CONFIG = None
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    django.setup()
    from django.contrib.auth.models import User  # noqa: PLC0415 - models need the setup above
    from django.core.management import call_command  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415
    from django.test.utils import setup_test_environment  # noqa: PLC0415

    setup_test_environment()
    call_command("migrate", verbosity=0)
    for name in ("ada", "bob"):
        User.objects.create_user(name, password="right")

    def login(name: str, password: str, address: str, client: Any = None, **more: str) -> int:
        fields = {"username": name, "password": password, **more}
        headers = {"X-Real-IP": address, "User-Agent": "one of an attacker"}
        return int((client or Client()).post("/login/", fields, headers=headers).status_code)

    write = sys.stdout.write
    office, attacker = "10.0.0.1", "10.9.9.9"
    browser = Client()
    write(f"ada logs in at the office before: {login('ada', 'right', office, browser)}\n")
    browser.post("/logout/")
    empty = database.stat().st_size
    seconds = []
    for number in range(tries):
        began = time.process_time()
        # Most attempts come from one address, and enough from others to reach every limit.
        login("ada", f"wrong {number}", attacker if number % 4 else f"10.9.{number % 250}.1", more=MORE)
        seconds.append(time.process_time() - began)
    first, last = (sum(part) / SAMPLE for part in (seconds[:SAMPLE], seconds[-SAMPLE:]))
    write(f"a failed try: {first * 1000:.1f} ms at first, {last * 1000:.1f} ms after {tries}\n")
    write(f"the database grew by {(database.stat().st_size - empty) / 1024:.0f} KiB\n")
    for number in range(60):
        login(f"nobody {number}", "wrong", office)
    write(f"ada, right password, at the office: {login('ada', 'right', office)}\n")
    write(f"bob, right password, his first there, after 60 failures there: {login('bob', 'right', office)}\n")
    for _ in range(10):
        login("ada", "wrong", office)
    write(f"ada, in her browser, after 10 failures by a neighbour: {login('ada', 'right', office, browser)}\n")
    write(f"the attacker, right password: {login('ada', 'right', attacker)}\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else TRIES, Path(directory) / "lockout.sqlite3")
