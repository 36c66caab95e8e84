"""Accepts probes and scrapers, which use a container's address, although ALLOWED_HOSTS cannot contain it."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

# nginx answers 404 to the public for all of these but /ready, which answers each host alike.
PATHS = frozenset({"/healthz", "/readyz", "/ready", "/metrics"})


class ProbeHostMiddleware:
    """Exempts requests for health or metrics from the check of the Host header."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path in PATHS:
            # A leading dot stands for subdomains and is not part of a name; `*` is any name.
            allowed = next((host.lstrip(".") for host in settings.ALLOWED_HOSTS if host != "*"), None)
            if allowed:
                request.META["HTTP_HOST"] = allowed
        return self._get_response(request)
