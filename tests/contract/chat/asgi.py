"""The tutorial's `asgi.py`."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.contract.chat.settings")
django_asgi_app = get_asgi_application()

from tests.contract.chat import consumers  # noqa: E402 - as in the tutorial: consumers may import models

NAME = r"(?P<room_name>\w+)/$"
NAMED = r"(?P<room_name>\w+)/(?P<name>\w+)/$"

application = ProtocolTypeRouter(
    {
        "http": django_asgi_app,
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(
                URLRouter(
                    [
                        re_path(f"ws/chat/{NAME}", consumers.ChatConsumer.as_asgi()),
                        re_path(f"ws/sync/{NAME}", consumers.SyncChatConsumer.as_asgi()),
                        re_path(f"ws/mutating/{NAMED}", consumers.MutatingConsumer.as_asgi()),
                        re_path(f"ws/sync_mutating/{NAMED}", consumers.SyncMutatingConsumer.as_asgi()),
                        re_path(f"ws/raising/{NAME}", consumers.RaisingConsumer.as_asgi()),
                        re_path(f"ws/sync_raising/{NAME}", consumers.SyncRaisingConsumer.as_asgi()),
                        re_path(f"ws/long/{NAME}", consumers.LongConsumer.as_asgi()),
                        re_path(f"ws/flood/{NAME}", consumers.FloodConsumer.as_asgi()),
                        re_path(f"ws/sync_flood/{NAME}", consumers.SyncFloodConsumer.as_asgi()),
                        re_path(f"ws/own_dispatch/{NAME}", consumers.OwnDispatchConsumer.as_asgi()),
                        re_path("ws/refusing/$", consumers.RefusingConsumer.as_asgi()),
                    ]
                )
            )
        ),
    }
)
