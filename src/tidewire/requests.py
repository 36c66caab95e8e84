"""Middlewares for pages: the id of a request, and metrics.

The id is the variable `$request_id` of nginx, in the header X-Request-ID.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

from tidewire import metrics
from tidewire.asgi import ID_LENGTH

_current: ContextVar[str | None] = ContextVar("tidewire_request_id", default=None)

GetResponse = Callable[[HttpRequest], HttpResponse]

# The status class of failures of the server.
_FAILED = "5xx"


def request_id() -> str | None:
    """Return the id of the current request. nginx creates it, and the request's events carry it.

    Returns:
        At most 64 characters; None outside of a request, and for a request without an id.

    Example:
        >>> request_id() is None
        True

    """
    return _current.get()


class RequestIdMiddleware:
    """Stores the id that nginx has set, for the log and for events. nginx overwrites a value sent by the client.

    Args:
        get_response: The next middleware or the view, as Django passes it.

    Example:
        >>> from django.http import HttpResponse
        >>> from django.test import RequestFactory
        >>> middleware = RequestIdMiddleware(lambda request: HttpResponse(request_id()))
        >>> middleware(RequestFactory().get("/", headers={"X-Request-ID": "5f2a"})).content
        b'5f2a'

    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = _current.set(request.headers.get("X-Request-ID", "")[:ID_LENGTH] or None)
        try:
            return self._get_response(request)
        finally:
            _current.reset(token)


class RequestMetricsMiddleware:
    """Counts and times requests by the name of their route, which limits the number of labels.

    Args:
        get_response: The next middleware or the view, as Django passes it.

    Example:
        >>> MIDDLEWARE = [
        ...     "tidewire.requests.RequestIdMiddleware",
        ...     "tidewire.requests.RequestMetricsMiddleware",
        ...     "django.middleware.common.CommonMiddleware",
        ... ]

    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._seen: set[tuple[str, str]] = set()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        response = self._get_response(request)
        match = request.resolver_match
        view = (match.view_name or "unnamed") if match else "none"
        method = request.method if request.method in {"GET", "HEAD", "POST"} else "other"
        if (method, view) not in self._seen:
            # A route's failures start at 0: Prometheus does not count the first appearance of a counter as an increase.
            self._seen.add((method, view))
            metrics.REQUESTS.labels(method, view, _FAILED)
        metrics.REQUESTS.labels(method, view, f"{response.status_code // 100}xx").inc()
        metrics.REQUEST_SECONDS.labels(view).observe(time.perf_counter() - started)
        return response
