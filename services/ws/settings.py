"""The ws service's settings: no page, no admin, no static files; only what a socket needs."""

from dashboard.settings import *

ROOT_URLCONF = "ws.urls"
ASGI_APPLICATION = "ws.asgi.application"
# HTTP here is for nobody but a stray request: no session, no template, no middleware is worth loading for it.
MIDDLEWARE: list[str] = []
