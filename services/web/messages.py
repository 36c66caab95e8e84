"""Django's messages after a redirect, in a cookie of the project's own name."""

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage


class OwnCookie(CookieStorage):
    cookie_name = settings.MESSAGES_COOKIE_NAME


class Messages(FallbackStorage):
    """A short message in the cookie, a longer one in the session."""

    storage_classes = (OwnCookie, SessionStorage)
