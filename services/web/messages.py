"""Django's messages after a redirect, in a cookie with the project's own name."""

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage


class OwnCookie(CookieStorage):
    cookie_name = settings.MESSAGES_COOKIE_NAME


class Messages(FallbackStorage):
    """Stores short messages in the cookie, longer ones in the session."""

    storage_classes = (OwnCookie, SessionStorage)
