"""Consumers of any Channels project, served with the library's dispatch. No line of the consumers changes."""

import logging
from typing import Any

from tidewire.adoption.application_tree import Adoption
from tidewire.adoption.tested_channels import untested
from tidewire.conf import server_settings

__all__ = ["adopt"]

logger = logging.getLogger(__name__)


def adopt(application: Any) -> Any:
    """Serve the stock consumers of an application with the library's dispatch, which costs less for each event.

    `python -m tidewire` does this for the application that it serves; `asgi.py` may do it for another server. The
    application is copied where it changes, so the project's routers, routes and middleware stay as they are. A
    consumer with a `__call__` or a `dispatch` of its own, or with a decorator around `as_asgi()`, keeps Channels'
    dispatch; a warning names it. The setting `ADOPT` switches the function off, and so does a version of Channels that
    it was not tested with.

    Args:
        application: The ASGI application of a project: Channels' routers and middleware around consumers.

    Returns:
        The application to serve. To adopt it again has no effect.

    Example:
        >>> from channels.generic.websocket import AsyncWebsocketConsumer
        >>> from channels.routing import ProtocolTypeRouter, URLRouter
        >>> from django.urls import path
        >>> routes = [path("ws/chat/", AsyncWebsocketConsumer.as_asgi())]
        >>> application = adopt(ProtocolTypeRouter({"websocket": URLRouter(routes)}))

    """
    enabled = server_settings().ADOPT
    if enabled and (name := untested()):
        enabled = False
        logger.warning("%s is not as tidewire was tested with it: all consumers keep Channels' dispatch", name)
    walk = Adoption(enabled=enabled)
    adopted = walk.visit(application)
    if enabled:
        for consumer, reason in walk.left.items():
            logger.warning("%s keeps Channels' dispatch: %s", consumer, reason)
        logger.info("consumers with tidewire's dispatch: %s", ", ".join(sorted(walk.adopted)) or "none")
    return adopted
