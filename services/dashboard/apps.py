"""The Django application of the dashboard."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_save


class DashboardConfig(AppConfig):
    name = "dashboard"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.contrib.auth.models import User

        from dashboard import pruning

        pruning.connect()
        post_save.connect(_start_reading, sender=User, dispatch_uid="dashboard")


def _start_reading(*, instance: Any, created: bool, raw: bool, **_: Any) -> None:
    from dashboard import actions

    if created and not raw:
        actions.start_reading(instance)
