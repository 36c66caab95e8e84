"""The response to an error that nothing handled: 503 if the database is unavailable, otherwise 500."""

import logging
import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template import loader

from tidewire.requests import request_id

logger = logging.getLogger(__name__)

# Longer than the pause after which a process tries the database again (tidewire.publishing.circuit_breaker).
RETRY_AFTER_SECONDS = 5


def server_error(_request: HttpRequest) -> HttpResponse:
    """The view that Django calls while it handles the exception."""
    error = sys.exc_info()[1]
    is_outage = isinstance(error, (OperationalError, InterfaceError))
    # Neither page may need the user: the row is in the database.
    context = {"request_id": request_id()}
    if not is_outage:
        return HttpResponse(loader.render_to_string("500.html", context), status=500)
    # One line in place of a traceback, because during an outage each request has one.
    logger.warning("a page failed, because the database is unavailable: %s", str(error).strip())
    response = HttpResponse(
        loader.render_to_string("503.html", context),
        status=503,
        headers={"Retry-After": str(RETRY_AFTER_SECONDS), "Cache-Control": "no-store"},
    )
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 - Django's name for that
    return response
