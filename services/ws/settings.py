"""The ws service's settings: only the parts that a socket needs; no pages, no admin, no static files."""

from dashboard.settings import *

ROOT_URLCONF = "ws.urls"
ASGI_APPLICATION = "ws.asgi.application"
# Plain HTTP here can only be a stray request, which needs no session, template or middleware.
MIDDLEWARE: list[str] = []
