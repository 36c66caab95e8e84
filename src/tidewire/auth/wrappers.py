"""The middleware around a websocket application, as the system checks see it."""

from collections.abc import Iterator
from typing import Any

# Wrappers of the websocket application that check the page's origin.
ORIGIN_CHECKS = ("OriginValidator", "OriginCheck")


def checks_origin(application: object) -> bool:
    """Return whether the application has an origin check, or each of its routes has one."""
    chain = list(wrappers(application))
    if any(map(is_origin_check, chain)):
        return True
    routes = getattr(chain[-1], "routes", None) or ()
    return bool(routes) and all(checks_origin(route.callback) for route in routes)


def is_origin_check(wrapper: object) -> bool:
    """Return whether the middleware checks the origin of a handshake."""
    return any(kind.__name__ in ORIGIN_CHECKS for kind in type(wrapper).__mro__)


def wrappers(application: object) -> Iterator[Any]:
    """Yield an ASGI application, and those that it wraps."""
    seen: list[object] = []
    inner: object = application
    while inner is not None and not any(inner is each for each in seen):
        seen.append(inner)
        yield inner
        inner = _inner(inner)


def _inner(wrapper: object) -> object:
    for name in ("application", "inner", "_application", "_inner"):
        if (inner := getattr(wrapper, name, None)) is not None:
            return inner
    return None
