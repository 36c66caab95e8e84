"""The project that the command line serves: Django is set up, the application imported and adopted."""

import logging
import os
from importlib import import_module
from typing import Any

import django
from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.exceptions import ImproperlyConfigured

from tidewire.adopt import adopt
from tidewire.layers import require_layer

# Why a module may fail before its own line that sets the variable.
_EARLY = "set it in the environment, so that Django is ready before the import"

logger = logging.getLogger(__name__)


def load_application(path: str) -> Any:
    """Import an application, `project.asgi:application`, and adopt its consumers.

    Django is set up first, so that a module of consumers may import models in any order. A project that names its
    settings only in `asgi.py` is set up by that.

    Raises `ImproperlyConfigured` with the reason if there is no such application, or if its import fails.
    """
    module_name, _, name = path.partition(":")
    named = bool(os.environ.get(ENVIRONMENT_VARIABLE))
    try:
        if named:
            django.setup()
        module = import_module(module_name)
    except Exception as error:
        logger.debug("the application cannot be imported", exc_info=True)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        remedy = "--verbosity 2 shows the traceback" if named else f"{ENVIRONMENT_VARIABLE} is not set: {_EARLY}"
        raise ImproperlyConfigured(f"{module_name} cannot be imported ({reason}); {remedy}") from error
    application: Any = module
    for part in (name or "application").split("."):
        application = getattr(application, part, None)
        if application is None:
            raise ImproperlyConfigured(f"{module_name} has no {name or 'application'!r}: name it as module:application")
    return prepared(application)


def prepared(application: Any) -> Any:
    """Return an application as the server serves it. Raises `ImproperlyConfigured` if its channel layer is missing."""
    if settings.configured and "default" in getattr(settings, "CHANNEL_LAYERS", {}):
        # A layer that cannot be made would fail each socket.
        require_layer("default")
    return adopt(application)
