"""The walk finds each stock consumer of an application, and changes none of the project's objects."""

import functools

import pytest
from channels.auth import AuthMiddlewareStack
from channels.consumer import AsyncConsumer
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.middleware import BaseMiddleware
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import OriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

from tidewire import adopt as face
from tidewire.adopt import adopt
from tidewire.adoption.application_tree import Adoption
from tidewire.auth.origin import OriginCheck
from tidewire.auth.sockets import TicketAuth
from tidewire.consumers import LiveConsumer
from tidewire.routing import with_fallback


class Chat(AsyncWebsocketConsumer):
    pass


class SyncChat(WebsocketConsumer):
    pass


class OwnCall(AsyncWebsocketConsumer):
    async def __call__(self, scope, receive, send):
        await super().__call__(scope, receive, send)


class OwnDispatch(WebsocketConsumer):
    def dispatch(self, message):
        return super().dispatch(message)


class Inherited(OwnDispatch):
    pass


def leaf(application):
    """Return the consumer's application at the end of a chain."""
    while not hasattr(application, "consumer_class"):
        for name in ("inner", "application"):
            if hasattr(application, name):
                application = getattr(application, name)
                break
        else:
            application = (
                application.routes[0].callback
                if hasattr(application, "routes")
                else (application.application_mapping["websocket"])
            )
    return application


def walked(application):
    walk = Adoption(enabled=True)
    return walk, walk.visit(application)


@pytest.mark.parametrize(
    "around",
    [
        lambda app: app,
        lambda app: URLRouter([path("", app)]),
        AuthMiddlewareStack,
        lambda app: URLRouter([path("", AuthMiddlewareStack(app))]),
        lambda app: OriginValidator(AuthMiddlewareStack(URLRouter([path("a/", URLRouter([path("b/", app)]))])), ["*"]),
        lambda app: OriginCheck(TicketAuth(with_fallback(URLRouter([path("", app)])))),
        lambda app: ProtocolTypeRouter({"websocket": URLRouter([path("", app)]), "http": get_asgi_application()}),
        BaseMiddleware,
    ],
)
@pytest.mark.parametrize("consumer", [Chat, SyncChat])
def test_consumers_are_found_behind_routers_and_middleware(around, consumer):
    original = consumer.as_asgi(option=1)
    application = around(original)
    walk, adopted = walked(application)
    assert walk.adopted == {consumer.__name__}
    assert walk.left == {}
    assert leaf(adopted) is not original
    assert leaf(adopted).consumer_class is consumer
    assert leaf(adopted).consumer_initkwargs == {"option": 1}
    assert leaf(application) is original, "the project's own objects stay as they are"
    assert type(adopted) is type(application)


def test_the_session_way_of_tickets_leads_to_the_adopted_consumer():
    """`TicketAuth` keeps a second way to its application, for users without a ticket."""
    auth = TicketAuth(Chat.as_asgi())
    _, adopted = walked(auth)
    assert adopted._by_session is not auth._by_session


def test_a_second_walk_changes_nothing():
    first = adopt(URLRouter([path("", Chat.as_asgi())]))
    walk, second = walked(first)
    assert walk.adopted == set()
    assert second is first


@pytest.mark.parametrize(
    ("consumer", "reason"),
    [(OwnCall, "__call__ of its own"), (OwnDispatch, "dispatch of its own"), (Inherited, "dispatch of its own")],
)
def test_a_consumer_with_its_own_way_is_left_alone(consumer, reason):
    walk, _ = walked(URLRouter([path("", consumer.as_asgi())]))
    assert walk.adopted == set()
    assert reason in walk.left[consumer.__name__]


async def test_a_decorator_around_as_asgi_is_never_passed_over():
    """`functools.wraps` copies `consumer_class`; the check of the decorator must still run."""
    called = []

    def checked(application):
        @functools.wraps(application)
        async def check(scope, receive, send):
            called.append("check")
            await application(scope, receive, send)

        return check

    class Ends(AsyncConsumer):
        async def __call__(self, scope, receive, send):
            called.append("consumer")

    decorated = checked(Chat.as_asgi())
    walk, adopted = walked(decorated)
    assert "a decorator" in walk.left["Chat"]
    _, adopted = walked(checked(Ends.as_asgi()))
    await adopted({"type": "websocket"}, None, None)
    assert called == ["check", "consumer"]


def test_an_application_that_cannot_be_looked_into_is_named():
    async def middleware(scope, receive, send):
        pass

    walk, adopted = walked(ProtocolTypeRouter({"websocket": middleware}))
    assert "cannot look into" in next(iter(walk.left.values()))
    assert adopted.application_mapping["websocket"] is middleware


def test_an_object_that_cannot_be_copied_is_served_as_it_is(caplog):
    class Stubborn(BaseMiddleware):
        def __copy__(self):
            raise TypeError("no copies")

    stubborn = Stubborn(Chat.as_asgi())
    _, adopted = walked(stubborn)
    assert adopted is stubborn
    assert "cannot be copied" in caplog.text


def test_a_circle_ends():
    middleware = BaseMiddleware(None)
    middleware.inner = middleware
    _, adopted = walked(middleware)
    assert adopted is middleware


def test_the_library_s_own_consumers_need_no_adoption():
    class News(LiveConsumer):
        pass

    application = URLRouter([path("", News.as_asgi())])
    walk, adopted = walked(application)
    assert (walk.adopted, walk.left) == (set(), {})
    assert adopted is application


def test_one_setting_switches_it_off(settings, caplog):
    face.server_settings.cache_clear()
    settings.TIDEWIRE = {"ADOPT": False}
    try:
        application = adopt(URLRouter([path("", Chat.as_asgi())]))
    finally:
        face.server_settings.cache_clear()
    assert leaf(application).tidewire_stock is True
    assert caplog.text == ""


def test_another_channels_than_the_tested_ones_keeps_its_dispatch(monkeypatch, caplog):
    monkeypatch.setattr(face, "untested", lambda: "channels: AsyncConsumer.dispatch")
    application = adopt(URLRouter([path("", Chat.as_asgi())]))
    assert leaf(application).tidewire_stock is True
    assert "channels: AsyncConsumer.dispatch is not as tidewire was tested with it" in caplog.text
