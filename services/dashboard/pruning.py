"""Retention of the dashboard's growing tables. `tidewire.publishing.pruning` runs once an hour."""

from datetime import timedelta
from importlib import import_module

from django.conf import settings
from django.db.models.functions import Now

from dashboard.models import Notification
from tidewire.publishing import pruning

# Longer than a holiday. After a longer absence a user should read the documents rather than a quarter's changes.
NOTIFICATIONS_KEPT = timedelta(days=90)


def connect() -> None:
    """Register the functions of this module."""
    pruning.register("notifications", prune_notifications)
    pruning.register("sessions", prune_sessions)


def prune_notifications() -> int:
    """Delete old notifications. Read pointers are numbers, so they remain correct."""
    return pruning.delete_batches(Notification.objects.filter(created_at__lt=Now() - NOTIFICATIONS_KEPT))


def prune_sessions() -> None:
    """Delete expired sessions, as `manage.py clearsessions` does."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
