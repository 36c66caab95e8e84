"""The whole ASGI application: origin, authentication and routes. The service serves no page."""

import importlib

import pytest
from channels.testing import WebsocketCommunicator

from tidewire.auth.feature import SessionFeature
from tidewire.auth.sessions import session_hash
from tidewire.auth.ticket import COOKIE, Ticket
from tidewire.conf import Settings
from tidewire.topics import Position


@pytest.fixture
def application():
    from ws.asgi import application  # noqa: PLC0415 - the import sets Django up

    return application


def headers(**fields: str) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in fields.items()]


async def test_a_page_of_another_site_gets_no_socket(here, application):
    """The refusal comes before any query."""
    client = WebsocketCommunicator(
        application, "/ws/users/", headers(host="docs.example.com", origin="https://evil.example")
    )
    assert await client.connect() == (False, 1000)


async def test_the_anonymous_are_closed_with_their_code(here, application):
    """A page without a login receives the reason."""
    client = WebsocketCommunicator(
        application, "/ws/users/", headers(host="docs.example.com", origin="https://docs.example.com")
    )
    accepted, _ = await client.connect()
    assert accepted
    assert await client.receive_output() == {"type": "websocket.close", "code": 4500}


async def test_a_ticket_opens_a_socket_without_a_query(here, application, monkeypatch):
    """This test has no database, so a query would fail."""
    monkeypatch.setattr(here.feature(SessionFeature).revocations, "allows", lambda _ticket: True)
    cookie = f"sessionid=key; {COOKIE}={Ticket('1', 'ada', session_hash('key'), Position('a', 0), 0).sign()}"
    client = WebsocketCommunicator(application, "/ws/users/", headers(host="docs.example.com", cookie=cookie))
    accepted, _ = await client.connect()
    assert accepted
    event = await client.receive_json_from()
    assert (event["type"], event["names"]) == ("users.count", ["ada"])
    [connection] = here.connections
    assert (connection.user, connection.session) == ("1", session_hash("key"))
    await client.disconnect()


def test_the_service_serves_no_page():
    """The service's URL conf is empty, and it loads no middleware."""
    assert importlib.import_module("ws.urls").urlpatterns == []
    assert importlib.import_module("ws.settings").MIDDLEWARE == []


def test_the_service_s_settings_are_the_library_s():
    """The library knows each of the service's settings."""
    assert Settings(**importlib.import_module("ws.settings").TIDEWIRE)
