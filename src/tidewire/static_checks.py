"""Django's system check of the static files: a browser must get all modules of `client.js` from the same release."""

from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning


def check_static_files(**_: Any) -> list[CheckMessage]:
    """Return a warning if `client.js` gets a hashed name, but imports its modules by names without a hash.

    After an upgrade a browser would load the new `client.js`, and could take the modules from its cache: those of the
    previous release may lack an export, which stops all scripts of the page.
    """
    if not apps.is_installed("django.contrib.staticfiles"):
        return []
    # Imported late: the module needs settings, and only this check needs the module.
    from django.contrib.staticfiles.storage import HashedFilesMixin, staticfiles_storage  # noqa: PLC0415

    if not isinstance(staticfiles_storage, HashedFilesMixin):
        return []
    if staticfiles_storage.support_js_module_import_aggregation:
        return []
    name = settings.STORAGES["staticfiles"]["BACKEND"]
    return [
        CheckWarning(
            f"{name} hashes the name of client.js, but not the names of the modules that it imports",
            hint="set support_js_module_import_aggregation = True in a subclass of it, and name that in STORAGES",
            id="tidewire.W020",
        )
    ]
