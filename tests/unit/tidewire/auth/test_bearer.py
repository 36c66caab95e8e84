"""Bearer tokens: which handshakes they authenticate, and the answers to those that they do not."""

import asyncio
import re
from functools import partial
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User

from tidewire.auth import bearer, stamps
from tidewire.auth.bearer import PROTOCOL, BearerAuth, InvalidToken, issue_token
from tidewire.auth.sockets import TicketAuth
from tidewire.auth.ticket import COOKIE, Ticket
from tidewire.exceptions import RedisUnavailable
from tidewire.streams import Stamp
from tidewire.topics import Position

# RFC 9110, section 5.6.2: a browser accepts nothing else as a subprotocol.
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@pytest.fixture
def node(monkeypatch):
    node = SimpleNamespace(allowing=True)
    node.feature = lambda _kind: SimpleNamespace(revocations=node)
    node.allows = lambda _ticket: node.allowing
    monkeypatch.setattr(bearer, "node", lambda: node)
    return node


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setattr(stamps, "read_stamp", lambda: Stamp(Position("a", 3), 1_000_000))
    return issue_token(User(pk=7, username="ada"))


async def handshake(application, *, headers=(), subprotocols=()):
    """Return the scope that the inner application got, and the messages to the client."""
    scopes, messages = [], []

    async def inner(scope, _receive, send):
        scopes.append(scope)
        await send({"type": "websocket.accept"})

    async def receive():
        return {"type": "websocket.disconnect"}

    async def send(message):
        messages.append(message)

    scope = {"type": "websocket", "headers": list(headers), "subprotocols": list(subprotocols)}
    await application(inner)(scope, receive, send)
    return scopes[0] if scopes else None, messages


async def test_a_header_authenticates_and_ticket_auth_keeps_its_user(node, token):
    headers = [(b"authorization", f"Bearer {token}".encode()), (b"cookie", f"{COOKIE}=x; sessionid=y".encode())]
    scope, messages = await handshake(lambda inner: BearerAuth(TicketAuth(inner)), headers=headers)
    assert (scope["user"].pk, scope["user"].username, scope["session_key"]) == (7, "ada", "")
    assert messages == [{"type": "websocket.accept"}]


async def test_a_subprotocol_authenticates_and_is_selected(node, token):
    """A browser fails a connection if the server selects none of its subprotocols."""
    assert TOKEN.fullmatch(token)
    scope, messages = await handshake(BearerAuth, subprotocols=["chat.v1", PROTOCOL, token])
    assert scope["user"].pk == 7
    assert scope["subprotocols"] == ["chat.v1"]
    assert messages == [{"type": "websocket.accept", "subprotocol": PROTOCOL}]


@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Basic YWRh")]])
async def test_a_handshake_without_a_token_passes_unchanged(node, headers):
    scope, messages = await handshake(BearerAuth, headers=headers, subprotocols=["chat.v1"])
    assert "user" not in scope
    assert scope["subprotocols"] == ["chat.v1"]
    assert messages == [{"type": "websocket.accept"}]


@pytest.mark.parametrize("wrong", ["", "x", "x.y", "x:y", None])
async def test_an_invalid_token_closes_for_good_and_reaches_no_other_credential(node, token, wrong):
    ticket = Ticket("7", "ada", "", Position("a", 3), 1_000_000).sign()
    text = ticket if wrong is None else wrong
    scope, messages = await handshake(BearerAuth, headers=[(b"authorization", f"Bearer {text}".encode())])
    assert scope is None
    assert messages[-1] == {"type": "websocket.close", "code": 4501}


async def test_an_announced_token_that_is_missing_is_invalid(node):
    scope, messages = await handshake(BearerAuth, subprotocols=[PROTOCOL])
    assert scope is None
    assert messages == [
        {"type": "websocket.accept", "subprotocol": PROTOCOL},
        {"type": "websocket.close", "code": 4501},
    ]


async def test_an_expired_or_revoked_token_asks_for_a_new_one(node, token):
    node.allowing = False
    scope, messages = await handshake(BearerAuth, subprotocols=[PROTOCOL, token])
    assert scope is None
    assert messages[-1] == {"type": "websocket.close", "code": 4005}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_async", [True, False])
def test_a_function_of_the_project_reads_its_own_tokens(is_async):
    def read(token):
        if token == "late":
            return None
        if token != "good":
            raise InvalidToken("unknown")
        return User(pk=9, username="bob")

    async def read_async(token):
        return read(token)

    def application(inner):
        return BearerAuth(inner, authenticate=read_async if is_async else read)

    async def try_all() -> None:
        scope, _ = await handshake(application, headers=[(b"authorization", b"bearer good")])
        assert scope["user"].username == "bob"
        for text, code in ((b"late", 4005), (b"bad", 4501)):
            _, messages = await handshake(application, headers=[(b"authorization", b"Bearer " + text)])
            assert messages[-1]["code"] == code

    # A sync function runs in a thread, which the tests' own event loop does not wait for.
    asyncio.run(try_all())


def test_no_token_without_redis(monkeypatch):
    monkeypatch.setattr(stamps, "read_stamp", lambda: None)
    with pytest.raises(RedisUnavailable):
        issue_token(User(pk=7, username="ada"))


async def test_a_subprotocol_is_selected_behind_a_password_of_the_proxy(node, token):
    """A browser repeats the password of HTTP's basic authentication, as of a test site, in each handshake."""
    headers = [(b"authorization", b"Basic YWRh")]
    scope, messages = await handshake(BearerAuth, headers=headers, subprotocols=[PROTOCOL, token])
    assert scope["user"].pk == 7
    assert messages == [{"type": "websocket.accept", "subprotocol": PROTOCOL}]


class AsyncCall:
    async def __call__(self, token):
        return None if token == "expired" else User(pk=9)


def plain(token):
    return AsyncCall()(token)


@pytest.mark.parametrize("authenticate", [AsyncCall(), plain], ids=["object", "function"])
def test_any_callable_may_authenticate(node, authenticate):
    """A coroutine that is not awaited would pass as a user."""
    application = partial(BearerAuth, authenticate=authenticate)

    async def users() -> list[object]:
        scopes = []
        for token in (b"good", b"expired"):
            scope, _ = await handshake(application, headers=[(b"authorization", b"Bearer " + token)])
            scopes.append(scope and scope["user"].pk)
        return scopes

    # A plain function runs in a thread, which the tests' own event loop does not wait for.
    assert asyncio.run(users()) == [9, None]
