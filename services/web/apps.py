"""The pages' Django application: templates, static files and template tags."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "web"

    def ready(self) -> None:
        from web import names, pruning

        names.connect()
        pruning.connect()
