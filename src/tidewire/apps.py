"""The Django application of the library: the outbox model, the static client and the management commands."""

from django.apps import AppConfig

from tidewire.publishing.background import refuse_greenlets
from tidewire.versions import require_packages


class TidewireConfig(AppConfig):
    name = "tidewire"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.core.checks import register

        from tidewire import checks

        require_packages()
        refuse_greenlets()
        for check in (checks.check_layers, checks.check_origin, checks.check_databases, checks.check_redis):
            register(check, "tidewire", deploy=True)
