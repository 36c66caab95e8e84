"""The web service's settings as the tests run them: in the development environment, whatever the shell says.

A module, not a conftest, because pytest-django reads the settings before any conftest is loaded.
"""

import os

from dashboard.env import PREFIX, Env

for name in (*Env.model_fields, "secrets_dir"):
    os.environ.pop(f"{PREFIX}{name.upper()}", None)
os.environ["TIDEWIRE_ENVIRONMENT"] = "development"

from web.settings import *  # noqa: E402 - the environment has to stand first

# One round of hashing: logging in is part of many tests and the subject of none.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
# As any project has them that uses the library; the stack's tests see the product's own names.
SESSION_COOKIE_NAME = "sessionid"
CSRF_COOKIE_NAME = "csrftoken"
