"""Retention of the web service's growing tables. The relay prunes them once an hour."""

from datetime import timedelta

from axes.models import AccessAttempt
from django.db.models.functions import Now

from tidewire.publishing import pruning

# Longer than any lockout.
ATTEMPTS_KEPT = timedelta(days=1)


def connect() -> None:
    """Register the functions of this module."""
    pruning.register("failed logins", prune_attempts)


def prune_attempts() -> int:
    """Delete expired failed logins: a row for each user name and address that was ever tried."""
    return pruning.delete_batches(AccessAttempt.objects.filter(attempt_time__lt=Now() - ATTEMPTS_KEPT))
