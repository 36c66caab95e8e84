"""The messages of real ASGI servers: the fakes of the unit tests send the same, and no state remains after any end.

Servers differ in the optional fields. `tests.unit.tidewire.fakes.ENDS` and `MESSAGES` are Daphne's.
"""

import os
import select
import signal
import socket
import struct
import time

import pytest

from deploy.local.layout import LOOPBACK
from testkit.frame_parser import TEXT
from testkit.websocket_client import handshake
from tests.contract.servers import Client
from tests.unit.tidewire.fakes import ENDS, MESSAGES
from tidewire.asgi import close_code

BAD = (
    *("CloseFails", "ConnectFails", "ConnectHangs", "CountFails", "DisconnectHangs", "DisconnectIsCancelled"),
    *("DisconnectRaises", "Editor", "EditsFails", "Good", "LogFails", "PresenceFails", "ReceiveFails", "ReceiveHangs"),
    *("ReceiveStops", "ReleaseFails", "SecondTopicFails", "Talks"),
)
EMPTY = dict.fromkeys(("connections", "users", "full", "present", "editors", "gauge", "subscriptions", "handshakes"), 0)
ACTS = {
    "close()": lambda client: client.close(),
    "close(1000)": lambda client: client.close(1000),
    "close(1001)": lambda client: client.close(1001),
    "close(3000, reason)": lambda client: client.close(3000, "a reason"),
    "reset": Client.reset,
    "vanish": Client.vanish,
}
SAID = {
    "text": lambda client: client.say("hello"),
    "empty text": lambda client: client.say(""),
    "bytes": lambda client: client.frame(2, b"hello"),
    "empty bytes": lambda client: client.frame(2, b""),
}


def held(state) -> dict[str, int]:
    return {name: state[name] for name in EMPTY}


def ends(server, name):
    """Check that no state remains."""
    state = held(server.until(lambda state: held(state) == EMPTY, 20))
    assert state == EMPTY, f"{name}\n{server.log.read_text()[-3000:]}"


def without_backpressure(server):
    if server.name == "daphne":
        pytest.skip("Daphne alone buffers without a bound: only its ping, after 50 s, ends a client that stops reading")


def test_every_end_and_message_has_a_fake(server):
    assert set(ACTS) == set(ENDS)
    assert set(SAID) == set(MESSAGES)
    assert tuple(server.state()["kinds"]) == BAD


@pytest.mark.parametrize("act", ACTS)
def test_the_end_of_a_socket_is_told_as_the_fakes_tell_it(server, act):
    name = f"end-{list(ACTS).index(act)}"
    client = server.open(f"record/{name}")
    ACTS[act](client)
    state = server.until(lambda state: len(state["recorded"].get(name, ())) == 3)
    [_scope, first, last] = state["recorded"][name]
    assert first == {"type": "websocket.connect"}
    if server.name == "daphne":
        assert last == ENDS[act]
    elif server.name == "tidewire":
        # ASGI's default code for a frame without a code.
        assert last == ENDS[act] | {"code": close_code(ENDS[act])}
    assert last["type"] == "websocket.disconnect"


@pytest.mark.parametrize("case", SAID)
def test_a_message_is_told_as_the_fakes_tell_it(server, case):
    name = f"said-{list(SAID).index(case)}"
    client = server.open(f"record/{name}")
    SAID[case](client)
    state = server.until(lambda state: len(state["recorded"].get(name, ())) == 3)
    message = state["recorded"][name][2]
    kind = MESSAGES[case]
    if server.name != "uvicorn":
        # JSON cannot contain bytes.
        assert message == {key: repr(value) if isinstance(value, bytes) else value for key, value in kind.items()}
    client.vanish()


def test_a_socket_without_a_query_and_with_one(server):
    """A missing query must be empty, not absent."""
    for name, query, told in (("no-query", "", repr(b"")), ("query", "?at=1:2", repr(b"at=1:2"))):
        client = server.open(f"record/{name}", query)
        state = server.until(lambda state, name=name: name in state["recorded"])
        assert state["recorded"][name][0] == {"query_string": told, "subprotocols": []}
        client.vanish()


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("kind", ["Good", "Editor"])
def test_nothing_stays_after_any_end(server, act, kind):
    """After the end of a socket its user was shown online, its lease and limit were in use, a drain waited for it."""
    client = server.open(f"bad/{kind}")
    opened = server.until(lambda state: state["connections"] == 1 and state["present"] == 1)
    assert (opened["gauge"], opened["editors"]) == (1, int(kind == "Editor"))
    ACTS[act](client)
    ends(server, act)


@pytest.mark.parametrize("kind", BAD)
def test_nothing_stays_whatever_a_project_does(server, kind):
    """A consumer that fails, hangs or stops at any point must leave no ghost, and the next socket must be served."""
    client = server.open(f"bad/{kind}")
    if kind in ("CloseFails", "ReceiveFails", "ReceiveStops"):
        client.say('{"type":"ping"}')
        assert client.ended(), "the server ends the socket"
    elif kind in ("SecondTopicFails", "PresenceFails", "EditsFails", "ConnectFails"):
        assert client.ended(), "the server ends the socket"
    else:
        if kind == "ReceiveHangs":
            client.say('{"type":"ping"}')
        server.until(lambda state: state["connections"] == 1)
        client.close()
    ends(server, kind)
    client.vanish()
    good = server.open("bad/Good")
    assert server.until(lambda state: state["present"] == 1)["connections"] == 1
    good.close()
    ends(server, "Good")


def test_a_client_that_goes_during_the_handshake_leaves_nothing(server):
    """The page is closed while it loads."""
    for _ in range(10):
        hasty = socket.create_connection((LOOPBACK, server.port), timeout=5)
        hasty.sendall(handshake(f"{LOOPBACK}:{server.port}", "/bad/Good/", "a=b"))
        hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        hasty.close()
    ends(server, "gone at once")


def test_a_client_that_floods_a_hanging_handler_is_closed(server):
    """The number of messages that wait for a handler must be limited."""
    client = server.open("bad/ReceiveHangs")
    for _ in range(300):
        try:
            client.frame(TEXT, b'{"type":"ping"}')
        except ConnectionError:
            break
    # uvicorn waits 10 s for the answer to its close.
    assert client.ended(15)
    ends(server, "flood")


def test_a_client_that_stops_reading_is_cut_off(server):
    """A client that was counted as disconnected stayed for minutes: the server waited until it read the rest."""
    without_backpressure(server)
    before = server.state()["closes"]
    client = server.open("bad/Talks")
    # Received, but never read: the kernel's buffers fill up.
    client.say('{"type":"ping"}')
    ends(server, "stalled")
    # As slow, and not as a connection that was lost.
    after = server.state()["closes"]
    assert {code: after[code] - before.get(code, 0) for code in after if after[code] != before.get(code)} == {"4001": 1}
    # The test must not read, which would let the server write the rest and end normally.
    waiting = select.poll()
    waiting.register(client.socket, 0)
    [(_, events)] = waiting.poll(20_000) or [(0, 0)]
    assert events & select.POLLERR, "the connection is reset"


def test_a_client_that_says_goodbye_and_reads_nothing_is_cut_off(server):
    """The answer to a close frame waits behind the data that the client does not read."""
    without_backpressure(server)
    client = server.open("bad/Talks")
    client.say('{"type":"ping"}')
    client.close()
    ends(server, "stalled goodbye")


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no such signal")
def test_sockets_that_are_reset_while_their_node_stands_still_leave_nothing(process, server):
    """A node that had hung for a while showed users that had left long ago, and sent no more pings."""
    clients = [server.open("bad/Good") for _ in range(40)]
    server.until(lambda state: state["connections"] == 40)
    os.kill(process.process.pid, signal.SIGSTOP)
    try:
        for number, client in enumerate(clients):
            # Half of the clients have sent a ping, which the node answers after the connection is lost.
            if number % 2:
                client.say('{"type":"ping"}')
            client.reset()
        # Wait until the server is due to send pings to those that requested them.
        time.sleep(1.5)
    finally:
        os.kill(process.process.pid, signal.SIGCONT)
    ends(server, "reset")
    if server.name == "tidewire":
        client = server.open("bad/Good")
        client.socket.settimeout(10)
        while not client.socket.recv(65536).endswith(b"\x89\x0ctidewireping"):
            pass
