"""How long the dashboard keeps what grows by itself. The relay prunes it, once an hour: see `tidewire.pruning`."""

from datetime import timedelta
from importlib import import_module

from django.conf import settings
from django.db.models.functions import Now

from dashboard.models import Notification
from tidewire import pruning

# Longer than a holiday. A user who returns later reads the documents rather than every change of a quarter.
NOTIFICATIONS_KEPT = timedelta(days=90)


def connect() -> None:
    """Register what there is to prune."""
    pruning.register("notifications", prune_notifications)
    pruning.register("sessions", prune_sessions)


def prune_notifications() -> int:
    """Delete old notifications. Read pointers are numbers, so they stay right."""
    return pruning.delete_batches(Notification.objects.filter(created_at__lt=Now() - NOTIFICATIONS_KEPT))


def prune_sessions() -> None:
    """Delete expired sessions, as `manage.py clearsessions` does."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
