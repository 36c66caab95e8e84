"""The Django application of the library: its outbox model, its static client and its commands."""

from django.apps import AppConfig


class TidewireConfig(AppConfig):
    name = "tidewire"
    default_auto_field = "django.db.models.BigAutoField"
