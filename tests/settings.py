"""The web service's settings for tests: the development environment, whatever the shell's environment contains.

A module instead of a conftest, because pytest-django reads the settings before any conftest is loaded.
"""

import os

from dashboard.env import PREFIX, Env

for name in (*Env.model_fields, "secrets_dir"):
    os.environ.pop(f"{PREFIX}{name.upper()}", None)
os.environ["TIDEWIRE_ENVIRONMENT"] = "development"

from web.settings import *  # noqa: E402 - the environment must be set first

# The cheapest hash, because many tests log in and none of them tests hashing.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
# Django's default names, as in other projects that use the library; the tests of the stack use the product's names.
SESSION_COOKIE_NAME = "sessionid"
CSRF_COOKIE_NAME = "csrftoken"
