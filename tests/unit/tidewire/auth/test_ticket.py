"""Tickets: which clients may open a socket without a query."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.core import signing
from django.http import HttpResponse
from django.test import Client

from tidewire.auth import sockets, stamps
from tidewire.auth.sessions import session_hash
from tidewire.auth.sockets import TicketAuth
from tidewire.auth.stamps import RedisClock
from tidewire.auth.ticket import COOKIE, Ticket, TicketUser
from tidewire.close_codes import CloseCode
from tidewire.streams import Stamp
from tidewire.topics import Position

SESSION = "abcdef0123456789abcdef0123456789"


class Judge:
    """Replaces the node's revocations."""

    def __init__(self, *, allowing: bool = True) -> None:
        self.allowing = allowing

    def allows(self, _ticket: Ticket) -> bool:
        return self.allowing


@pytest.fixture
def judge(monkeypatch):
    judge = Judge()
    monkeypatch.setattr(sockets, "node", lambda: SimpleNamespace(feature=lambda _: SimpleNamespace(revocations=judge)))
    return judge


def a_ticket(*, session: str = SESSION) -> Ticket:
    return Ticket("7", "ada", session_hash(session), Position("a", 3), 1_000_000)


async def open_with(cookie: str) -> dict[str, object] | None:
    """Return the scope that a ticket gave the application, or None if the session would have been read."""
    got: list[dict[str, object]] = []

    async def application(scope, _receive, _send):
        got.append(scope)

    async def by_session(_scope, _receive, _send):
        return

    auth = TicketAuth(application)
    auth._by_session = by_session
    await auth({"type": "websocket", "headers": [(b"cookie", cookie.encode())]}, None, None)
    return got[0] if got else None


async def test_a_ticket_beside_its_session_cookie_names_the_user(judge):
    scope = await open_with(f"sessionid={SESSION}; {COOKIE}={a_ticket().sign()}")
    assert scope is not None
    assert scope["user"] == TicketUser(7, "ada")
    assert scope["session_hash"] == session_hash(SESSION)


async def test_a_cookie_with_an_odd_name_costs_the_others_nothing(judge):
    """Trackers of a parent domain set such cookies, and Django ignores them."""
    odd = "AMCVS_1%40x@AdobeOrg=1; a(b)=c; d"
    scope = await open_with(f"{odd}; sessionid={SESSION}; {COOKIE}={a_ticket().sign()}")
    assert scope is not None
    assert scope["user"] == TicketUser(7, "ada")


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        f"sessionid={SESSION}",
        f"{COOKIE}={a_ticket().sign()}",
        f"sessionid=another; {COOKIE}={a_ticket().sign()}",
        f"sessionid={SESSION}; {COOKIE}={a_ticket().sign()}x",
        f"sessionid={SESSION}; {COOKIE}=nonsense",
    ],
)
async def test_without_a_genuine_ticket_of_this_session_the_session_is_read(judge, cookie):
    assert await open_with(cookie) is None


async def test_a_revoked_ticket_is_read_as_a_session(judge):
    judge.allowing = False
    assert await open_with(f"sessionid={SESSION}; {COOKIE}={a_ticket().sign()}") is None


def test_a_ticket_is_read_as_it_was_signed():
    assert Ticket.read(a_ticket().sign()) == a_ticket()


@pytest.mark.parametrize("fields", [[], [7, "ada", "mark", 1], ["7", "ada", "mark", "nowhere", 1], "text", None])
def test_a_ticket_of_another_version_is_none(fields):
    assert Ticket.read(signing.Signer(salt="tidewire.ticket").sign_object(fields)) is None


def test_a_ticket_of_a_user_model_that_was_replaced_is_none():
    """The primary key is converted to the model's type, and a UUID is not a number."""
    assert replace(a_ticket(), pk="5f0c6d3c-8f0f-4f0c-9d55-0d4c2f6d7c11").user() is None


def test_a_ticket_does_not_hold_the_session_key():
    assert SESSION not in a_ticket().sign()


@pytest.fixture
def redis_clock(monkeypatch):
    """A fake Redis for pages: its time in seconds, and whether it is available."""
    at = SimpleNamespace(seconds=1000.0, available=True, asked=0)
    clock = RedisClock(monotonic=lambda: at.seconds)

    def read_stamp() -> Stamp | None:
        at.asked += 1
        if not at.available:
            return None
        clock.set(int(at.seconds * 1000))
        return Stamp(Position("a", at.asked), int(at.seconds * 1000))

    monkeypatch.setattr(stamps, "CLOCK", clock)
    monkeypatch.setattr(stamps, "read_stamp", read_stamp)
    return at


@pytest.mark.django_db
def test_pages_give_and_take_the_cookie(settings, redis_clock):
    """A page sets a ticket after login, the next page keeps it, and a page after the logout deletes it."""
    settings.ROOT_URLCONF = __name__
    user = User.objects.create_user("ada", password="x")
    client = Client()
    assert COOKIE not in client.get("/here/").cookies
    assert redis_clock.asked == 0
    client.force_login(user)
    response = client.get("/here/")
    morsel = response.cookies[COOKIE]
    assert morsel["httponly"]
    assert morsel["samesite"] == "Lax"
    ticket = Ticket.read(morsel.value)
    assert ticket == Ticket(str(user.pk), "ada", session_hash(client.session.session_key), Position("a", 1), 1_000_000)
    assert COOKIE not in client.get("/here/").cookies
    assert redis_clock.asked == 1
    del client.cookies[settings.SESSION_COOKIE_NAME]
    assert client.get("/here/").cookies[COOKIE].value == ""


@pytest.fixture
def client(db, settings) -> Client:
    """A browser in which ada is logged in."""
    settings.ROOT_URLCONF = __name__
    browser = Client()
    browser.force_login(User.objects.create_user("ada", password="x"))
    return browser


def test_a_ticket_is_renewed_in_its_second_half(client, redis_clock):
    client.get("/here/")
    redis_clock.seconds += 449
    stamps.CLOCK.set(int(redis_clock.seconds * 1000))
    assert COOKIE not in client.get("/here/").cookies
    redis_clock.seconds += 2
    assert COOKIE in client.get("/here/").cookies


def test_without_redis_no_ticket_is_issued(client, redis_clock):
    """The page is served, and sockets are authenticated by the session."""
    redis_clock.available = False
    assert COOKIE not in client.get("/here/").cookies
    redis_clock.available = True
    assert COOKIE in client.get("/here/").cookies


def test_a_request_that_saves_does_not_wait_for_redis(client, redis_clock):
    """The response is a redirect, and the page behind it sets the ticket."""
    assert COOKIE not in client.post("/here/").cookies
    assert redis_clock.asked == 0
    assert COOKIE in client.get("/here/").cookies


def test_another_session_of_the_browser_gets_its_own_ticket(client, redis_clock):
    client.get("/here/")
    bob = User.objects.create_user("bob", password="x")
    client.force_login(bob)
    ticket = Ticket.read(client.get("/here/").cookies[COOKIE].value)
    assert ticket is not None
    assert (ticket.username, ticket.session) == ("bob", session_hash(client.session.session_key))


def _here(_request):
    return HttpResponse("here")


from django.urls import path  # noqa: E402  # this module is the URL conf of these tests

urlpatterns = [path("here/", _here)]


async def test_a_session_that_is_never_read_ends_its_handshake(here, monkeypatch):
    """Otherwise a page would show "Connecting" for as long as the database hangs, and would not reconnect."""

    async def hangs(_key):
        await asyncio.Event().wait()

    async def application(_scope, _receive, _send):
        raise AssertionError("nobody is authenticated")

    monkeypatch.setattr(sockets, "database_sync_to_async", lambda _read: hangs)
    client = WebsocketCommunicator(TicketAuth(application), "/", headers=[(b"cookie", b"sessionid=" + b"a" * 32)])
    accepted, _ = await client.connect(timeout=60)
    assert accepted
    assert await client.receive_output() == {"type": "websocket.close", "code": CloseCode.EXPIRED}
    await client.disconnect()
