"""Probes and scrapers ask a container by its address, which no list of allowed hosts can know beforehand."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

# nginx answers 404 to the public for these, so no client's Host header is believed by this.
PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


class ProbeHostMiddleware:
    """Lets a request for health or metrics pass the check of hosts, whatever address it names."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path in PATHS:
            # A leading dot allows subdomains and is no name itself; `*` allows whatever came.
            allowed = next((host.lstrip(".") for host in settings.ALLOWED_HOSTS if host != "*"), None)
            if allowed:
                request.META["HTTP_HOST"] = allowed
        return self._get_response(request)
