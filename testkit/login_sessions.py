"""Sessions as logins create them, without the half second of a core for the password. Django must be set up."""

from __future__ import annotations

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends.db import SessionStore

BACKEND = "django.contrib.auth.backends.ModelBackend"


def session_data(user: AbstractBaseUser) -> dict[str, str]:
    """Return the content of a session of this user."""
    return {SESSION_KEY: str(user.pk), BACKEND_SESSION_KEY: BACKEND, HASH_SESSION_KEY: user.get_session_auth_hash()}


def create_session(user: AbstractBaseUser) -> str:
    """Create a session of this user in the database, and return its key."""
    session = SessionStore()
    session.update(session_data(user))
    session.create()
    assert session.session_key is not None
    return session.session_key
