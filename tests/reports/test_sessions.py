"""Effects of sessions with each of Django's session engines: rotated keys, unavailable stores, new keys."""

import shutil
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client

from tests.integration.tidewire.conftest import RedisServer
from tests.session_engines import NAMES, Engine, engines
from tidewire.auth import session_watch, sockets, stamps
from tidewire.auth.revoked import Revoked
from tidewire.auth.sessions import read_session, session_hash
from tidewire.auth.sockets import TicketAuth
from tidewire.exceptions import SessionUnknown
from tidewire.models import OutboxEvent

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
OLD, NEW = "old" * 20, "new" * 20


@pytest.fixture(scope="module")
def redis_process() -> Iterator[RedisServer]:
    """A Redis for this module."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server on this machine")
    server = RedisServer()
    server.start()
    yield server
    server.client.close()
    server.stop()


@pytest.fixture(params=NAMES)
def engine(request, settings, tmp_path, redis_process: RedisServer, monkeypatch) -> Engine:
    """Each engine in turn, with the pages of this module. Events wait in the outbox, and no other Redis is used."""
    redis_process.client.flushall()
    session_engine = engines(tmp_path, redis_process)[request.param]
    for name, value in session_engine.settings.items():
        setattr(settings, name, value)
    # The file store caches its directory on the class.
    monkeypatch.setattr("django.contrib.sessions.backends.file.SessionStore._storage_path", None, raising=False)
    monkeypatch.delattr("django.contrib.sessions.backends.file.SessionStore._storage_path")
    settings.ROOT_URLCONF = "tests.reports.session_pages"
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, []
    monkeypatch.setattr("tidewire.publishing.publisher.wake", lambda: None)
    monkeypatch.setattr(stamps, "read_stamp", lambda: None)
    authentication = SimpleNamespace(revocations=SimpleNamespace(allows=lambda _ticket: False))
    monkeypatch.setattr(sockets, "node", lambda: SimpleNamespace(feature=lambda _: authentication))
    return session_engine


@pytest.fixture
def ada(db) -> User:
    return User.objects.create_user("ada", password="x")


@pytest.fixture
def browser(engine, ada) -> Client:
    """A browser in which ada is logged in."""
    client = Client()
    client.force_login(ada)
    assert client.get("/me/").text == "ada"
    return client


def key_of(browser: Client) -> str:
    return browser.cookies["sessionid"].value


def handshake(key: str) -> Any:
    """Return the scope that a consumer receives, or the code of a socket that was closed before."""
    got: list[Any] = []

    async def application(scope: dict[str, Any], _receive: Any, _send: Any) -> None:
        got.append(scope)

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.close":
            got.append(message["code"])

    scope = {"type": "websocket", "headers": [(b"cookie", f"sessionid={key}".encode())] if key else []}
    async_to_sync(TicketAuth(application))(scope, receive, send)
    return got[0]


def ended(*keys: str, user: User) -> set[str]:
    """Return the sessions that a node's watch finds ended."""
    sessions, _error = async_to_sync(session_watch._ended_sessions)([(key, str(user.pk)) for key in keys])
    return sessions


def revoked() -> list[tuple[str, str | None, bool]]:
    events = [Revoked.decode(row.body) for row in OutboxEvent.objects.filter(type="revoked").order_by("pk")]
    return [(event.user, event.session, event.final) for event in events]


def test_a_socket_has_the_user_of_the_page(engine, browser, ada):
    scope = handshake(key_of(browser))
    assert (scope["user"].pk, scope["session_hash"]) == (ada.pk, session_hash(key_of(browser)))
    assert ended(key_of(browser), user=ada) == set()
    assert not handshake("")["user"].is_authenticated


def test_a_logout_revokes_the_session(engine, browser, ada):
    """The server cannot end a session in signed cookies, so all sockets reconnect, and then lack the cookie."""
    key = key_of(browser)
    browser.post("/out/")
    if engine.in_cookie:
        assert revoked() == [(str(ada.pk), None, False)]
        return
    assert revoked() == [(str(ada.pk), session_hash(key), True)]
    assert not handshake(key)["user"].is_authenticated
    assert ended(key, user=ada) == {key}


def test_a_session_that_a_page_flushes_is_revoked_too(engine, browser, ada):
    """In a project that ended sessions without Django's logout(), the sockets stayed open."""
    key = key_of(browser)
    browser.post("/flush/")
    assert revoked() == [(str(ada.pk), None if engine.in_cookie else session_hash(key), not engine.in_cookie)]


def test_another_user_s_login_in_the_same_browser_revokes_the_session(engine, browser, ada):
    """The sockets of the previous user stayed open, whatever page performed the login."""
    key = key_of(browser)
    User.objects.create_user("bob", password="x")
    assert browser.post("/in/bob/").text == "bob"
    assert revoked() == [(str(ada.pk), None if engine.in_cookie else session_hash(key), not engine.in_cookie)]
    assert handshake(key_of(browser))["user"].username == "bob"


def test_the_own_new_password_lets_the_sockets_return(engine, browser, ada):
    """The sockets were closed with a final code, because the session got another key."""
    key, other = key_of(browser), Client()
    other.force_login(ada)
    browser.post("/password/")
    assert not any(final for _user, _session, final in revoked())
    assert (str(ada.pk), None, False) in revoked()
    assert handshake(key_of(browser))["user"].username == "ada"
    assert not handshake(key_of(other))["user"].is_authenticated
    if not engine.in_cookie:
        assert key_of(browser) != key
        assert (str(ada.pk), session_hash(key), False) in revoked()


def test_a_new_key_of_a_session_lets_the_sockets_return(engine, browser, ada):
    """A project gave its session another key, as after a second factor, and other tabs showed *signed out*."""
    key = key_of(browser)
    browser.post("/cycle/")
    assert revoked() == ([] if engine.in_cookie else [(str(ada.pk), session_hash(key), False)])
    assert handshake(key_of(browser))["user"].username == "ada"


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!"}, None])
def test_a_change_behind_the_signals_is_found(engine, browser, ada, change):
    """A user was deactivated or got another password by a query, or was deleted, and no node was notified."""
    pk = ada.pk
    if change:
        User.objects.filter(pk=pk).update(**change)
    else:
        ada.delete()
        ada.pk = pk
    assert ended(key_of(browser), user=ada) == {key_of(browser)}
    assert not handshake(key_of(browser))["user"].is_authenticated


def test_an_expired_session_has_ended(engine, browser, ada, settings):
    key = key_of(browser)
    settings.SESSION_COOKIE_AGE = -1
    if not engine.in_cookie:
        browser.post("/touch/")
    assert ended(key, user=ada) == {key}
    assert not handshake(key)["user"].is_authenticated


def test_an_unavailable_store_ends_no_session(engine, browser, ada):
    """All sockets closed with a final code while the cache was restarted, and their pages showed *signed out*."""
    if engine.unavailable is None:
        pytest.skip("the session is in the cookie")
    key = key_of(browser)
    with engine.unavailable():
        with pytest.raises(SessionUnknown):
            read_session(key)
        assert ended(key, user=ada) == set()
        assert handshake(key) == 4005
    assert handshake(key)["user"].username == "ada"


def test_reading_writes_nothing(engine, browser, ada, tmp_path, redis_process):
    """Sessions that ended, never existed, or have an invalid key leave no row, no file and no key behind."""
    key = key_of(browser)

    def stored() -> Any:
        rows = list(_rows())
        names = sorted(each.name for each in (tmp_path / "sessions").iterdir())
        return rows, names, sorted(each for each in redis_process.client.keys("*") if "probe" not in each)

    browser.post("/out/")
    before = stored()
    for odd in (key, "a" * 32, "../../etc/passwd", "x", "%00", "é" * 40):
        response = handshake(odd)
        assert (response == 4005) == (engine.in_cookie and odd != key and len(odd) >= 8), odd
    assert stored() == before


def test_a_rotated_key_logs_no_socket_out(engine, browser, ada, settings):
    """`SECRET_KEY` rotated with `SECRET_KEY_FALLBACKS` ended every session that had a socket."""
    key = key_of(browser)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    for _ in range(2):
        assert ended(key, user=ada) == set()
        assert handshake(key)["user"].username == "ada"
    # Two tabs send a request at once: neither response may log the other out.
    tab = Client()
    tab.cookies["sessionid"] = key
    assert browser.get("/me/").text == tab.get("/me/").text == "ada"
    assert engine.in_cookie or key_of(browser) == key_of(tab) == key
    assert revoked() == []
    assert ended(key, user=ada) == set()
    # The page renewed the session, so the old key can be removed.
    settings.SECRET_KEY_FALLBACKS = []
    engine.forget_cache()
    assert handshake(key_of(browser))["user"].username == "ada"


def test_a_process_without_the_new_key_ends_no_session(engine, browser, ada, settings):
    """In a roll-out an old node cannot read sessions that a new page has signed, and must not end them."""
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    assert browser.get("/me/").text == "ada"
    key = key_of(browser)
    # A process that knows both keys, as in the two steps of docs/kubernetes.md, can read sessions of either.
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, [NEW]
    assert handshake(key)["user"].username == "ada"
    assert ended(key, user=ada) == set()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, []
    for _ in range(2):
        assert ended(key, user=ada) == set()
        assert handshake(key) == 4005
        engine.forget_cache()


def _rows() -> Any:
    from django.contrib.sessions.models import Session  # noqa: PLC0415 - not with every engine

    return Session.objects.values_list("session_key", "session_data").order_by("session_key")
