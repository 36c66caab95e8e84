"""The Django application of the library: the outbox model, the static client and the management commands."""

from django.apps import AppConfig
from django.core.checks import Tags, register

from tidewire.publishing.background import refuse_greenlets
from tidewire.static_checks import check_static_files
from tidewire.versions import require_packages


class TidewireConfig(AppConfig):
    name = "tidewire"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        require_packages()
        refuse_greenlets()
        register(check_static_files, Tags.staticfiles)
