"""The Django application of the library: its outbox model, its static client and its commands."""

from django.apps import AppConfig

from tidewire.background import refuse_greenlets
from tidewire.versions import require_packages


class TidewireConfig(AppConfig):
    name = "tidewire"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        require_packages()
        refuse_greenlets()
