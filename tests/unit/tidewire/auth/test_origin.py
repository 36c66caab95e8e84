"""The origin check: pages of this site and programs without a page may open sockets; pages of other sites may not."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.auth import origin
from tidewire.auth.origin import OriginCheck, is_allowed
from tidewire.conf import Settings
from tidewire.refusals import log_refusal


@pytest.mark.parametrize(
    ("page", "host", "allowed"),
    [
        ("http://docs.example.com", "docs.example.com", True),
        ("https://docs.example.com", "docs.example.com", True),
        ("https://docs.example.com:8443", "docs.example.com:8443", True),
        ("https://Docs.Example.com", "docs.example.com", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("https://docs.example.com:8443", "docs.example.com", False),
        ("https://evil.example", "docs.example.com", False),
        ("https://docs.example.com.evil.example", "docs.example.com", False),
        ("https://evil.example/docs.example.com", "docs.example.com", False),
        ("https://docs.example.com@evil.example", "docs.example.com", False),
        ("null", "docs.example.com", False),
        ("null", "", False),
        ("file://", "", False),
        ("http://[", "docs.example.com", False),
    ],
)
def test_without_origins_the_host_is_the_only_one(page, host, allowed):
    """If no origins are configured, the page must belong to the host of the handshake."""
    assert is_allowed(page, host, ()) is allowed


@pytest.mark.parametrize(
    ("page", "allowed"),
    [
        ("https://docs.example.com", True),
        ("http://docs.example.com", False),
        ("https://docs.example.com.evil.example", False),
        ("null", False),
    ],
)
def test_configured_origins_are_the_only_ones(page, allowed):
    """Scheme and port must match too. The host is the proxy's, so it does not count."""
    assert is_allowed(page, "docs.example.com", ("https://docs.example.com",)) is allowed


@given(st.text(), st.text())
def test_any_origin_gets_an_answer(page, host):
    """A client's headers raise no exception."""
    assert is_allowed(page, host, ()) in {True, False}


async def handshake(monkeypatch, *headers: tuple[bytes, bytes], origins: tuple[str, ...] = ()) -> list[str]:
    monkeypatch.setattr(origin, "settings", lambda: Settings(REDIS_URL="redis://h", ALLOWED_ORIGINS=origins))
    sent: list[str] = []

    async def application(scope, receive, send):
        sent.append("the application")

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message["type"])

    await OriginCheck(application)({"type": "websocket", "headers": headers}, receive, send)
    return sent


async def test_a_page_of_this_site_gets_through(monkeypatch):
    """The application receives handshakes of the site's own pages."""
    assert await handshake(monkeypatch, (b"host", b"docs.example.com"), (b"origin", b"https://docs.example.com")) == [
        "the application"
    ]


async def test_a_program_without_a_page_gets_through(monkeypatch):
    """Browsers always send an origin. A program without one does not have another user's cookies."""
    assert await handshake(monkeypatch, (b"host", b"docs.example.com")) == ["the application"]


async def test_a_page_of_another_site_is_refused_and_named(monkeypatch, caplog):
    """The handshake is refused before it is accepted. The log names the origin, the host and the allowed origins."""
    log_refusal._periods.clear()
    with caplog.at_level(logging.WARNING):
        sent = await handshake(
            monkeypatch,
            (b"host", b"docs.example.com"),
            (b"origin", b"https://evil.example"),
            origins=("https://docs.example.com",),
        )
    assert sent == ["websocket.close"]
    for name in ("evil.example", "'docs.example.com'", "https://docs.example.com"):
        assert name in caplog.text
