"""How long the pages' service keeps what grows by itself. The relay prunes it, once an hour."""

from datetime import timedelta

from axes.models import AccessAttempt
from django.db.models.functions import Now

from tidewire import pruning

# Longer than any lockout.
ATTEMPTS_KEPT = timedelta(days=1)


def connect() -> None:
    """Register what there is to prune."""
    pruning.register("failed logins", prune_attempts)


def prune_attempts() -> int:
    """Delete the failed logins that count no more: a row for each user name and address that was ever tried."""
    return pruning.delete_batches(AccessAttempt.objects.filter(attempt_time__lt=Now() - ATTEMPTS_KEPT))
