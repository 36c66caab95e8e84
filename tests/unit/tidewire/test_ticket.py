"""Tickets: who may open a socket without a query, and who may not."""

import time
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from tidewire import ticket as ticket_module
from tidewire.ticket import COOKIE, Ticket, TicketAuth, TicketUser, session_mark

SESSION = "abcdef0123456789abcdef0123456789"


class Judge:
    """Stands for the node's revocations."""

    def __init__(self, *, allowing: bool = True) -> None:
        self.allowing = allowing

    def allows(self, _ticket: Ticket) -> bool:
        return self.allowing


@pytest.fixture
def judge(monkeypatch):
    judge = Judge()
    monkeypatch.setattr(ticket_module, "node", lambda: SimpleNamespace(revocations=judge))
    return judge


def a_ticket(*, session: str = SESSION, age_seconds: float = 0) -> Ticket:
    return Ticket(7, "ada", session_mark(session), int((time.time() - age_seconds) * 1000))


async def open_with(cookie: str) -> dict[str, object] | None:
    """The scope that the application got by a ticket; None where the session would have been read."""
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
    assert scope["session_mark"] == session_mark(SESSION)


async def test_a_cookie_with_an_odd_name_costs_the_others_nothing(judge):
    """Trackers of a parent domain set such; Django reads past them."""
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


def test_a_ticket_is_too_old_after_its_life(monkeypatch):
    value = a_ticket().sign()
    assert Ticket.read(value) is not None
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 901)
    assert Ticket.read(value) is None


def test_a_ticket_does_not_hold_the_session_key():
    assert SESSION not in a_ticket().sign()


@pytest.mark.django_db
def test_pages_give_and_take_the_cookie(settings):
    """A logged-in page sets a ticket, the next leaves it, logout takes it back."""
    settings.ROOT_URLCONF = __name__
    user = User.objects.create_user("ada", password="x")
    client = Client()
    assert COOKIE not in client.get("/here/").cookies
    client.force_login(user)
    response = client.get("/here/")
    morsel = response.cookies[COOKIE]
    assert morsel["httponly"]
    assert morsel["samesite"] == "Lax"
    ticket = Ticket.read(morsel.value)
    assert ticket is not None
    assert ticket.session == session_mark(client.session.session_key)
    assert COOKIE not in client.get("/here/").cookies
    del client.cookies[settings.SESSION_COOKIE_NAME]
    assert client.get("/here/").cookies[COOKIE].value == ""


def _here(_request):
    return HttpResponse("here")


from django.urls import path  # noqa: E402  # the URL conf of these tests is this module

urlpatterns = [path("here/", _here)]
