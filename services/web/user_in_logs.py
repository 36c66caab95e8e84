"""Names the user of a request in log lines, by the primary key: the only personal data that a line may have."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from structlog.contextvars import bound_contextvars

# nginx writes it into its own line, and removes it from the response.
HEADER = "X-Tidewire-User"


class UserInLogsMiddleware:
    """Must follow TicketMiddleware, which reads the user of each request anyway."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        before = {"user": str(request.user.pk)} if request.user.is_authenticated else {}
        with bound_contextvars(**before):
            response = self._get_response(request)
        # After a login or a logout it is another one.
        if request.user.is_authenticated:
            response.headers[HEADER] = str(request.user.pk)
        return response
