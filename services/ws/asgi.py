"""The ASGI application: protocol router, origin check, authentication, routes."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ws.settings")
django_application = get_asgi_application()

# Imported late: consumers use models, which exist only after Django has been set up.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from tidewire.auth.origin import OriginCheck  # noqa: E402
from tidewire.auth.sockets import TicketAuth  # noqa: E402
from tidewire.routing import with_fallback  # noqa: E402
from ws.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": OriginCheck(TicketAuth(with_fallback(URLRouter(websocket_urlpatterns)))),
    }
)
