"""The Django application of the library: its outbox model, its static client and its commands."""

from django.apps import AppConfig

from tidewire.background import refuse_greenlets


class TidewireConfig(AppConfig):
    name = "tidewire"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        refuse_greenlets()
