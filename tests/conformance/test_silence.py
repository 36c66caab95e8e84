"""A server that answers late or never, and a browser that is hidden, frozen, asleep or offline."""

import asyncio
import time

import pytest

from tests.tabs import until

# Milliseconds. Short, so that each case takes seconds; a busy machine can still answer a handshake in 2.5 s.
QUICK = {"heartbeatMs": 300, "timeoutMs": 5000}


async def well(peer):
    """A healthy server."""
    await peer.accept()
    await peer.serve()


async def mute(peer):
    """A server that accepts the connection and then sends nothing."""
    await peer.accept()
    await peer.serve(pongs=False)


def slow(seconds):
    async def script(peer):
        await peer.accept()
        await peer.serve(late_seconds=seconds)

    return script


def first_then(first, others):
    """Return a script with one behaviour for the first connection and another for all others."""

    async def script(peer):
        await (first if peer.number == 0 else others)(peer)

    return script


async def never_accepts(_peer):
    await asyncio.Event().wait()


async def accepts_late(peer):
    await asyncio.sleep(0.8)
    await well(peer)


def live(tab):
    tab.wait("live.state === 'live'")


def test_an_idle_socket_with_heartbeats_stays_open(client, odd_server):
    tab = client(well, **QUICK)
    live(tab)
    until(lambda: len(odd_server.peers[0].messages) > 6)
    assert tab.evaluate("states()") == ["live"]
    assert len(odd_server.peers) == 1


def test_a_handshake_that_is_never_answered_is_given_up_and_tried_again(client, odd_server):
    tab = client(first_then(never_accepts, well), **QUICK)
    live(tab)
    assert tab.evaluate("states()") == ["reconnecting", "live"]
    assert "handshake" in tab.evaluate("said[0].value.reason")
    assert len(odd_server.peers) == 2


def test_a_handshake_that_is_answered_late_counts(client, odd_server):
    tab = client(accepts_late, **QUICK)
    live(tab)
    assert tab.evaluate("states()") == ["live"]
    assert len(odd_server.peers) == 1


@pytest.mark.parametrize(
    "event",
    [
        "window.dispatchEvent(new Event('online'))",
        "document.dispatchEvent(new Event('visibilitychange'))",
        "window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))",
        "document.dispatchEvent(new Event('resume'))",
        "live.reconnectNow()",
    ],
)
def test_a_client_that_connects_hears_that_the_page_woke(client, odd_server, event):
    """The handshake may take 30 s, but the visitor must not have to wait that long."""
    tab = client(first_then(never_accepts, well), timeoutMs=60_000)
    until(lambda: odd_server.peers)
    tab.wait("performance.now() - live._started_at.steady > 2500")
    tab.evaluate(event)
    live(tab)
    # The abandoned handshake must not show as a state.
    assert tab.evaluate("states()") == ["live"]


def test_a_server_that_accepts_and_is_mute_is_left(client, odd_server):
    tab = client(first_then(mute, well), **QUICK)
    tab.wait("states().includes('reconnecting')")
    assert tab.evaluate("said.find(({ value }) => value.code === 1006).value.reason") == "the server does not answer"
    live(tab)
    # The close code is neither that of a closed page nor final, so that the server may keep an editor's lease.
    until(lambda: odd_server.peers[0].close_code == 3001)


def test_attempts_at_a_mute_server_grow_apart(client):
    """A socket without any message was not a success, however long it was open: here 10 s seem to pass in one."""
    fast = "performance.now = ((now) => () => 10 * now())(performance.now.bind(performance))"
    tab = client(mute, before=fast, heartbeatMs=300, timeoutMs=1000)
    tab.wait("states().filter((state) => state === 'reconnecting').length === 2", 30)
    assert tab.evaluate("live._attempt") == 2


def test_a_server_that_is_slow_but_alive_is_kept(client, odd_server):
    """Each answer arrives later than the next heartbeat is due."""
    tab = client(slow(0.5), **QUICK)
    live(tab)
    until(lambda: len(odd_server.peers[0].messages) > 5)
    # An explicit check must be as patient as this server needs.
    tab.evaluate("live.check()")
    until(lambda: len(odd_server.peers[0].messages) > 8)
    assert tab.evaluate("states()") == ["live"]
    assert len(odd_server.peers) == 1


def test_a_server_that_sends_events_but_no_answers_is_kept(client, odd_server):
    async def deaf(peer):
        await peer.accept()
        serving = asyncio.ensure_future(peer.serve(pongs=False))
        for n in range(40):
            await peer.say({"type": "tick", "n": n})
            await asyncio.sleep(0.15)
        await serving

    tab = client(deaf, heartbeatMs=300, timeoutMs=4000)
    tab.wait("events().includes(30)")
    assert tab.evaluate("states()") == ["live"]
    assert len(odd_server.peers) == 1


def test_a_check_that_is_repeated_still_ends(client, odd_server):
    """A page may check every second, but the first check must still time out."""
    tab = client(first_then(well, well), **QUICK)
    live(tab)
    tab.evaluate("WebSocket.prototype.send = () => {}")
    tab.evaluate("setInterval(() => live.check(), 100)")
    tab.wait("states().includes('reconnecting')", 5)


def test_offline_shows_at_once_and_online_brings_back(client, odd_server):
    """Chromium's offline mode fails new sockets but leaves this one open, so the test drops its packets."""
    tab = client(well)
    live(tab)
    tab.evaluate("WebSocket.prototype.send = new Proxy(WebSocket.prototype.send, { apply: (...call) => "
                 "navigator.onLine && Reflect.apply(...call) })")  # fmt: skip
    tab.set_offline(offline=True)
    tab.wait("live.state === 'reconnecting'", 2)
    tab.wait("!live._isOpen", 12)
    tab.set_offline(offline=False)
    began = time.monotonic()
    live(tab)
    assert time.monotonic() - began < 5
    assert "this device is offline" in tab.evaluate("said.map(({ value }) => value.reason)")


def test_offline_that_is_not_true_is_shown_for_some_seconds_only(client, odd_server):
    """A server on the same computer is available without a network."""
    tab = client(well, **QUICK)
    live(tab)
    tab.set_offline(offline=True)
    tab.wait("states().join() === 'live,reconnecting,live'")
    assert len(odd_server.peers) == 1


def test_offline_and_online_within_a_moment_keep_the_socket(client, odd_server):
    tab = client(well)
    live(tab)
    tab.set_offline(offline=True)
    tab.wait("live._unanswered === 0")
    tab.set_offline(offline=False)
    # The state must change at once, not after the timeout of the check.
    tab.wait("states().join() === 'live,reconnecting,live'", 3)
    assert len(odd_server.peers) == 1


def test_a_close_that_the_network_swallows_is_not_waited_for(client, odd_server):
    """Chromium waits for the server's half of a close, which takes a minute on a dead network."""

    async def dead(peer):
        await peer.accept()
        await asyncio.Event().wait()

    tab = client(first_then(dead, well), **QUICK)
    live(tab)
    began = time.monotonic()
    until(lambda: len(odd_server.peers) == 2)
    tab.wait("states().slice(-2).join() === 'reconnecting,live'")
    assert time.monotonic() - began < 8


def test_a_frozen_page_is_live_again_when_it_is_looked_at(client, odd_server):
    """Its timers run late, together with the received events. Chromium may close the socket; the client must not."""
    tab = client(well, **QUICK)
    live(tab)
    for _ in range(2):
        tab.freeze()
        time.sleep(3)
        tab.thaw()
        tab.front()
        count = len(odd_server.peers[-1].messages)
        until(lambda count=count: len(odd_server.peers[-1].messages) > count + 2)
        live(tab)
    assert "the server does not answer" not in tab.evaluate("said.map(({ value }) => value.reason)")


def test_a_page_that_wakes_beside_a_dead_server_notices(client, odd_server):
    """The client must detect it earlier than at the next heartbeat."""
    tab = client(first_then(well, well))
    live(tab)
    tab.wait("live._unanswered === 0")
    odd_server.do(odd_server.peers[0].fall_silent)
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    tab.wait("states().join() === 'live,reconnecting,live'", 8)


def test_a_busy_page_does_not_take_its_server_for_dead(client, odd_server):
    """The timer of a ping and the answer both wait while a script runs: for less than 2 s, and for more."""
    tab = client(well, **QUICK)
    live(tab)
    for busy in (2000, 4000):
        tab.evaluate(
            f"(() => {{ live.check(); const end = performance.now() + {busy}; while (performance.now() < end); }})()"
        )
        count = len(odd_server.peers[0].messages)
        until(lambda count=count: len(odd_server.peers[0].messages) > count + 2)
    assert tab.evaluate("states()") == ["live"]
    assert len(odd_server.peers) == 1


@pytest.mark.parametrize("jump", [3600_000, -3600_000, 365 * 86400_000])
def test_a_clock_that_is_set_changes_nothing(client, odd_server, jump):
    tab = client(well, **QUICK)
    live(tab)
    tab.evaluate(f"Date.now = ((now) => () => now() + {jump})(Date.now.bind(Date))")
    count = len(odd_server.peers[0].messages)
    until(lambda: len(odd_server.peers[0].messages) > count + 5)
    assert tab.evaluate("states()") == ["live"]
    assert tab.evaluate("live.msSinceLastMessage") < 5000


def test_silence_counts_a_sleep_that_only_the_wall_clock_saw(client, odd_server):
    """performance.now() stops while some computers sleep."""
    tab = client(well)
    live(tab)
    tab.evaluate("Date.now = ((now) => () => now() + 30_000)(Date.now.bind(Date))")
    assert tab.evaluate("live.msSinceLastMessage") >= 30_000
    tab.evaluate("live.check()")
    tab.wait("live.msSinceLastMessage < 5000")
    assert tab.evaluate("states()") == ["live"]
