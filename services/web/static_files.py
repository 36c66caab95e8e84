"""Hashed static files from the web process itself, for a proxy of another release.

nginx serves its own copy of the files. During a roll-out it requests a file from here that only the other release has.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.utils._os import safe_join

# The names that collectstatic generates; the content of such a file never changes.
HASHED: Final = re.compile(r"[\x20-\x7e]{1,200}\.[0-9a-f]{12}\.[a-z0-9.]{1,20}")
IMMUTABLE: Final = "public, max-age=31536000, immutable"


class StaticFilesMiddleware:
    """Serves hashed files before sessions and cookies are processed, because proxies may cache the response."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._prefix = f"/{settings.STATIC_URL.lstrip('/')}"

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(self._prefix):
            return self._get_response(request)
        return _response(request.path_info.removeprefix(self._prefix))


def _response(name: str) -> HttpResponseBase:
    if HASHED.fullmatch(name):
        path = Path(safe_join(settings.STATIC_ROOT, name))
        if path.is_file():
            return FileResponse(path.open("rb"), headers={"Cache-Control": IMMUTABLE})
    return HttpResponse(
        "This release has no such file.\n", status=404, content_type="text/plain", headers={"Cache-Control": "no-store"}
    )
