"""The chat of `examples/`, in which one client gets a fault: CHAT_FAULT=drop|double|reorder|deaf.

`daphne tests.integration.loadtest.broken_chat:application`
"""

import os
import time

from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from examples.chat.asgi import ChatConsumer

# Longer than the time in which the load test cannot be sure of a client's membership.
AGE_SECONDS = 2.5


FAULT = os.environ["CHAT_FAULT"]


class BrokenConsumer(ChatConsumer):
    victim = None
    held = None
    done = False

    async def connect(self):
        self.since = time.monotonic()
        if FAULT == "deaf" and BrokenConsumer.victim is None:
            BrokenConsumer.victim = self
        await super().connect()

    async def chat_message(self, event):
        cls = BrokenConsumer
        if FAULT == "deaf":
            if cls.victim is not self:
                await super().chat_message(event)
        elif cls.victim is None and time.monotonic() - self.since > AGE_SECONDS:
            cls.victim, cls.held = self, event
            for _ in range(2 if FAULT == "double" else 0):
                await super().chat_message(event)
        else:
            await super().chat_message(event)
            if cls.victim is self and not cls.done and cls.held["content"]["sender"] == event["content"]["sender"]:
                cls.done = True
                if FAULT == "reorder":
                    await super().chat_message(cls.held)


application = ProtocolTypeRouter({"websocket": URLRouter([path("ws/chat/<slug:room>/", BrokenConsumer.as_asgi())])})
