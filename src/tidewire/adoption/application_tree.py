"""The tree of a project's ASGI application: routers, middleware and consumers, found by their public attributes."""

import copy
import functools
import logging
from types import FunctionType, MethodType
from typing import Any

from channels.consumer import AsyncConsumer, SyncConsumer
from django.core.handlers.asgi import ASGIHandler

from tidewire import metrics
from tidewire.adoption.dispatch import Dispatch
from tidewire.adoption.sync_batch import has_own_thread
from tidewire.adoption.sync_dispatch import SyncDispatch
from tidewire.asgi import claim_socket
from tidewire.server.consumer_loop import ConsumerLoop

logger = logging.getLogger(__name__)

# The attributes by which Channels' own middleware and most others hold the next application.
NEXT = ("inner", "application")
# The code of the function that `as_asgi` returns. A decorator around it has another, even if it copies all attributes.
_AS_ASGI = frozenset(part for part in AsyncConsumer.as_asgi.__func__.__code__.co_consts if hasattr(part, "co_code"))


class Adoption:
    """A walk through an application. It changes none of the project's objects: each router on the way is copied.

    `adopted` and `left` are the names of consumers, `left` with the reason.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._path: list[Any] = []
        self.adopted: set[str] = set()
        self.left: dict[str, str] = {}

    def visit(self, application: Any) -> Any:
        """Return the application with its stock consumers adopted; itself if it has none."""
        if hasattr(application, "consumer_class"):
            return self._visit_consumer(application)
        if any(application is above for above in self._path) or getattr(application, "tidewire_adopted", False):
            return application
        self._path.append(application)
        try:
            return self._visit_inner(application)
        finally:
            self._path.pop()

    def _visit_inner(self, application: Any) -> Any:
        mapping, routes = getattr(application, "application_mapping", None), getattr(application, "routes", None)
        if isinstance(mapping, dict):
            if "websocket" not in mapping:
                return application
            visited = self.visit(mapping["websocket"])
            if visited is mapping["websocket"]:
                return application
            return _copy(application, "application_mapping", mapping | {"websocket": visited})
        if isinstance(routes, list):
            visited = [self._visit_route(route) for route in routes]
            same = all(new is old for new, old in zip(visited, routes, strict=True))
            return application if same else _copy(application, "routes", visited)
        if not isinstance(application, (FunctionType, MethodType, type)):
            for name in NEXT:
                if callable(inner := getattr(application, name, None)):
                    return _copy(application, name, self.visit(inner))
        if not isinstance(application, ASGIHandler):
            self._leave(_name(application), "tidewire cannot look into it")
        return application

    def _visit_route(self, route: Any) -> Any:
        callback = getattr(route, "callback", None)
        return route if callback is None else _copy(route, "callback", self.visit(callback))

    def _visit_consumer(self, application: Any) -> Any:
        consumer = application.consumer_class
        if getattr(application, "tidewire_adopted", False) or issubclass(consumer, ConsumerLoop):
            return application
        reason = _own_way(application, consumer)
        if reason:
            self._leave(consumer.__name__, reason)
        elif self._enabled:
            self.adopted.add(consumer.__name__)
        return _served(application, consumer, stock=bool(reason) or not self._enabled)

    def _leave(self, name: str, reason: str) -> None:
        self.left[name] = reason


def _own_way(application: Any, consumer: type) -> str:
    """Return why the library cannot stand in for Channels' dispatch of a consumer, or an empty text."""
    if not isinstance(application, FunctionType) or application.__code__ not in _AS_ASGI:
        return "a decorator is around it"
    if not issubclass(consumer, AsyncConsumer):
        return "it is no consumer of Channels"
    if consumer.__call__ is not AsyncConsumer.__call__:
        return "it has a __call__ of its own"
    stock = SyncConsumer if issubclass(consumer, SyncConsumer) else AsyncConsumer
    dispatch = next(vars(each)["dispatch"] for each in consumer.__mro__ if "dispatch" in vars(each))
    return "" if dispatch is vars(stock)["dispatch"] else "it has a dispatch of its own"


def _served(original: Any, consumer_class: type, *, stock: bool) -> Any:
    """Return an application like `as_asgi`'s, which tells the server the consumer's name."""
    options = getattr(original, "consumer_initkwargs", {})
    name = consumer_class.__name__
    metrics.initialise_foreign(name)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        claim_socket(scope, name)
        if stock or scope["type"] != "websocket":
            await original(scope, receive, send)
        elif issubclass(consumer_class, SyncConsumer):
            if has_own_thread():
                await original(scope, receive, send)
            else:
                await SyncDispatch(consumer_class(**options), send).serve(scope, receive)
        else:
            await Dispatch(consumer_class(**options), send).serve(scope, receive)

    functools.update_wrapper(application, original)
    # A second walk must not adopt it again.
    application.tidewire_adopted, application.tidewire_stock = True, stock  # type: ignore[attr-defined]
    return application


def _copy(owner: Any, name: str, value: Any) -> Any:
    """Return a copy of an object with another value of one attribute; the object itself if the value is the same."""
    if value is getattr(owner, name):
        return owner
    try:
        copied = copy.copy(owner)
        setattr(copied, name, value)
    except Exception as error:  # noqa: BLE001 - objects of other projects may refuse it in any way
        logger.warning("%s cannot be copied, so consumers behind it keep Channels' dispatch: %r", _name(owner), error)
        return owner
    return copied


def _name(application: Any) -> str:
    return getattr(application, "__qualname__", type(application).__qualname__)
