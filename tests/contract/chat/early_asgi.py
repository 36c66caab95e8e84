"""An `asgi.py` that imports models before Django is set up, which Daphne refuses: "Apps aren't loaded yet"."""

import os

from django.contrib.auth.models import User

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.contract.chat.settings")

from tests.contract.chat.asgi import application

__all__ = ["User", "application"]
