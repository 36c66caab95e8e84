"""The Django application of the library: the outbox model, the static client and the management commands."""

from django.apps import AppConfig, apps

from tidewire import checks  # noqa: F401  # registers the system checks
from tidewire.publishing.background import refuse_greenlets
from tidewire.versions import require_packages


class TidewireConfig(AppConfig):
    name = "tidewire"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        require_packages()
        refuse_greenlets()
        if apps.is_installed("django.contrib.auth"):
            # Models can be imported only now.
            from tidewire.auth import signals

            signals.connect()
