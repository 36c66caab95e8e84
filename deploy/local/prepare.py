"""Brings a stack's database and static files up to date: one Django start for all three steps."""

from __future__ import annotations

import django
from django.core.management import call_command


def main() -> None:
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("demo")
    call_command("collectstatic", interactive=False, verbosity=0)


if __name__ == "__main__":
    main()
