"""Closes: with every code, directly after the handshake, with a hint, or by a script of the page."""

import asyncio
import time

import pytest

from tests.conformance.test_silence import QUICK, first_then, live, well
from tests.tabs import until
from tidewire.close_codes import CloseCode


def closes(code, *, before=()):
    async def script(peer):
        await peer.accept()
        for event in before:
            await peer.say(event)
        await peer.close(code)
        await peer.serve()

    return script


async def cuts(peer):
    await peer.accept()
    peer.abort()


async def refuses(peer):
    await peer.refuse()


RECONNECT = [code for code in CloseCode if not code.final]
FINAL = [code for code in CloseCode if code.final]
QUICK_RETURN = [code for code in RECONNECT if code != CloseCode.TOO_MANY]


@pytest.mark.parametrize("code", [None, 1000, 1001, 1011, 1012, 3000, 3499, 4499, *QUICK_RETURN])
def test_the_client_returns_after_a_reconnect_code(client, code):
    tab = client(first_then(closes(code), well), **QUICK)
    live(tab)
    assert tab.evaluate("states()") == ["reconnecting", "live"]
    if isinstance(code, CloseCode):
        assert tab.evaluate("said[0].value.reason") == code.meaning


@pytest.mark.parametrize("code", [3500, 3999, 4999, *FINAL])
def test_a_final_code_ends_the_attempts_and_says_why(client, odd_server, code):
    tab = client(first_then(closes(code), well), **QUICK)
    tab.wait("live.state === 'closed'")
    detail = tab.evaluate("said[0].value")
    assert (detail["code"], detail["final"]) == (code, True)
    assert not isinstance(code, CloseCode) or detail["reason"] == code.meaning
    # The client must not reconnect when the page wakes.
    tab.evaluate("window.dispatchEvent(new Event('online'))")
    time.sleep(0.3)
    assert len(odd_server.peers) == 1
    # The page has the reason, and a reconnect must lead back to live.
    tab.evaluate("live.reconnectNow()")
    live(tab)
    assert tab.evaluate("states()") == ["closed", "reconnecting", "live"]


@pytest.mark.parametrize("script", [cuts, refuses], ids=["cut", "refused"])
def test_the_client_returns_after_a_lost_or_refused_connection(client, script):
    tab = client(first_then(script, well), **QUICK)
    live(tab)
    assert tab.evaluate("states()") == ["reconnecting", "live"]


def test_too_many_sockets_mean_a_slow_return_that_says_why(client, odd_server):
    """A refused socket must never show "live", and the visitor must be able to reconnect at once."""
    tab = client(first_then(closes(CloseCode.TOO_MANY), well), **QUICK)
    tab.wait("said.length")
    detail = tab.evaluate("said[0].value")
    assert (detail["state"], detail["code"]) == ("reconnecting", 4006)
    assert 10_000 <= detail["delay_ms"] <= 20_000
    tab.evaluate("live.reconnectNow()")
    live(tab)
    assert tab.evaluate("states()") == ["reconnecting", "live"]
    assert len(odd_server.peers) == 2


def test_the_return_of_one_tab_too_many_keeps_the_page_s_word(client):
    """The delay must stay within the minute that the page announces, even after many refusals."""
    tab = client(closes(CloseCode.TOO_MANY), **QUICK)
    tab.wait("said.length")
    tab.evaluate("Math.random = () => 0.999; live._attempt = 9; live._connect()")
    tab.wait("said.length > 1")
    assert 20_000 < tab.evaluate("said.at(-1).value.delay_ms") <= 60_000


def test_delays_grow_where_each_socket_is_closed_at_once(client):
    tab = client(closes(CloseCode.FAILED), **QUICK)
    tab.wait("live._attempt >= 5", 30)
    assert "live" not in tab.evaluate("states()")


def test_a_drain_s_hint_is_the_delay(client):
    hint = {"type": "drain", "reconnect_in_seconds": 1.5}
    tab = client(first_then(closes(CloseCode.DRAINING, before=[hint]), well), **QUICK)
    tab.wait("said.length")
    assert 1500 <= tab.evaluate("said[0].value.delay_ms") <= 2000
    live(tab)


@pytest.mark.parametrize("seconds", [-5, 1e9, "soon", None, [], {}])
def test_a_drain_s_odd_hint_is_bounded(client, seconds):
    hint = {"type": "drain", "reconnect_in_seconds": seconds}
    tab = client(closes(CloseCode.DRAINING, before=[hint]), **QUICK)
    tab.wait("said.length")
    assert 0 <= tab.evaluate("said[0].value.delay_ms") <= 60_500


def test_a_hint_counts_for_its_own_socket_only(client):
    async def drains_and_dies(peer):
        await peer.accept()
        await peer.say({"type": "drain", "reconnect_in_seconds": 50})
        await peer.serve()

    tab = client(first_then(drains_and_dies, closes(CloseCode.FAILED)), **QUICK)
    live(tab)
    tab.evaluate("live._connect()")
    tab.wait("said.some(({ value }) => value.code === 4003)")
    assert tab.evaluate("said.find(({ value }) => value.code === 4003).value.delay_ms") < 1000


def test_what_comes_after_a_close_is_not_heard(client, odd_server):
    async def talks(peer):
        await peer.accept()
        serving = asyncio.ensure_future(peer.serve())
        while not serving.done():
            await peer.say({"type": "tick", "n": 1})
            await asyncio.sleep(0.02)

    tab = client(talks, **QUICK)
    live(tab)
    tab.evaluate("live.close(); said.splice(0, said.length, { kind: 'state', value: { state: 'live' } }, said.at(-1))")
    until(lambda: odd_server.peers[0].close_code == 1000)
    assert tab.evaluate("events()") == []
    tab.evaluate("live.reconnectNow(); window.dispatchEvent(new Event('online'))")
    time.sleep(0.3)
    assert len(odd_server.peers) == 1
    assert tab.evaluate("states()") == ["live", "closed"]


@pytest.mark.parametrize("state", ["live", "reconnecting", "closed"])
def test_a_page_may_close_or_reconnect_from_within_its_handler(client, odd_server, state):
    script = closes(CloseCode.UNKNOWN if state == "closed" else CloseCode.FAILED)
    tab = client(
        well if state == "live" else script,
        **QUICK,
        onState=f"(state) => {{ note_(state); if (state === '{state}') live.close(); }}",
        # Without jitter, a reconnect would come at once.
        before="window.note_ = (state) => (window.noted ??= []).push(state); Math.random = () => 0;",
    )
    tab.wait(f"window.noted?.includes('{state}')")
    tab.wait("noted.at(-1) === 'closed'")
    time.sleep(0.3)
    assert len(odd_server.peers) == 1
    assert tab.evaluate("noted.at(-1)") == "closed"


def test_a_browser_that_allows_no_socket_is_asked_again(client):
    blocked = """
    window.WebSocket = new Proxy(WebSocket, { construct(target, call) {
      if ((window.tries = (window.tries ?? 0) + 1) < 3) throw new DOMException("blocked", "SecurityError");
      return Reflect.construct(target, call);
    } });
    """
    tab = client(well, before=blocked, **QUICK)
    live(tab)
    assert tab.evaluate("states()") == ["reconnecting", "reconnecting", "live"]
    assert "blocked" in tab.evaluate("said[0].value.reason")


def test_a_send_that_throws_reaches_no_page(client):
    tab = client(first_then(well, well), **QUICK)
    live(tab)
    tab.evaluate("live._socket.send = () => { throw new Error('no') }")
    assert tab.evaluate("live.send({ type: 'x' })") is False
    tab.wait("states().join() === 'live,reconnecting,live'")
    assert tab.evaluate("said.filter(({ kind }) => kind === 'error')") == []


@pytest.mark.parametrize("path", ["'http://['", "'ws://host:port/'"])
def test_a_path_that_is_none_is_refused_at_once(client, odd_server, path):
    tab = client(well, **QUICK)
    live(tab)
    with pytest.raises(RuntimeError, match="Invalid URL"):
        tab.evaluate(f"open_({path})")
    # A failed client must not leave listeners behind.
    tab.evaluate("window.dispatchEvent(new Event('online'))")
    assert tab.evaluate("said.filter(({ kind }) => kind === 'error')") == []


def test_a_page_from_the_back_forward_cache_connects_at_once(client, odd_server):
    tab = client(well, **QUICK)
    live(tab)
    tab.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    until(lambda: len(odd_server.peers) == 2)
    live(tab)
    until(lambda: odd_server.peers[0].close_code == 3001)


def test_the_end_of_loading_does_not_restart_a_handshake_that_is_slow(client, odd_server):
    """On a busy machine it comes seconds after the first handshake has begun, and each page would begin again."""

    async def slow(peer):
        await asyncio.sleep(4)
        await well(peer)

    tab = client(slow, **QUICK | {"timeoutMs": 20_000})
    until(lambda: len(odd_server.peers) == 1)
    tab.evaluate("new Promise((done) => setTimeout(done, 2500))")
    tab.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: false }))")
    live(tab)
    assert len(odd_server.peers) == 1


def test_a_page_that_comes_back_by_the_back_button_is_live(client, odd_server):
    """Chromium may keep the page or load it again."""
    tab = client(well, **QUICK)
    live(tab)
    tab.goto(f"{odd_server.url}/elsewhere")
    tab.evaluate("history.back()")
    tab.wait("window.ready")
    tab.evaluate("window.live ?? open_(path, { heartbeatMs: 300, timeoutMs: 5000 })")
    tab.wait("live.state === 'live'")
    assert len(odd_server.peers) == 2


def test_one_socket_at_a_time(client, odd_server):
    """The page may wake several times, but must not open a second socket."""
    tab = client(first_then(closes(CloseCode.FAILED), well), **QUICK)
    tab.evaluate("for (let i = 0; i < 20; i++) window.dispatchEvent(new Event('online'))")
    live(tab)
    until(lambda: sum(not peer.ended for peer in odd_server.peers) == 1)
