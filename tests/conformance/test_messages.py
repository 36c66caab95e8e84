"""Messages: positions of several topics, repeats, messages that are not events, and handlers that fail."""

import pytest

from tests.conformance.scripted_server import BINARY
from tests.conformance.test_silence import QUICK, first_then, live, well
from tests.tabs import until

TICK = {"type": "tick", "topic": "a", "id": "1", "offset": 1, "n": 1}


def sending(*events, opcode=1):
    async def script(peer):
        await peer.accept()
        for event in events:
            await peer.say(event, opcode)
        await peer.serve()

    return script


def positions(odd_server, tab):
    """Return the positions that the next socket sends."""
    count = len(odd_server.peers)
    tab.evaluate("live._connect()")
    until(lambda: len(odd_server.peers) > count)
    return sorted(odd_server.peers[count].at)


def resumed(topic, at, *, recovered=True):
    return {"type": "resumed", "topic": topic, "at": at, "recovered": recovered}


def tick(topic, offset, **more):
    return {
        "type": "tick", "topic": topic, "id": f"{topic}{offset}", "offset": offset, "mark": f"m{offset}",
        "n": f"{topic}{offset}",
    } | more  # fmt: skip


def test_each_topic_has_a_position_of_its_own(client, odd_server):
    tab = client(
        sending(resumed("a", "e1:4"), resumed("b.c", "e2.m90:90"), tick("a", 5), tick("b.c", 91), tick("a", 6)),
        positions="{ a: 'e1:3', 'b.c': '', quiet: 'e3.m7:7', none: null }",
    )
    tab.wait("events().length === 3")
    assert sorted(odd_server.peers[0].at) == ["a:e1:3", "b.c:1:0", "quiet:e3.m7:7"]
    assert positions(odd_server, tab) == ["a:e1.m6:6", "b.c:e2.m91:91", "quiet:e3.m7:7"]


def test_a_topic_that_the_page_did_not_know_is_resumed_too(client, odd_server):
    tab = client(sending(resumed("a", "e1:4"), tick("a", 5)))
    tab.wait("events().length === 1")
    assert odd_server.peers[0].at == []
    assert positions(odd_server, tab) == ["a:e1.m5:5"]


def test_what_was_missed_on_one_topic_is_lost_on_that_topic(client, odd_server):
    tab = client(
        sending(resumed("a", "e9:2", recovered=False), resumed("b", "e2:5"), tick("a", 3), tick("b", 6)),
        positions="{ a: 'e1:3', b: 'e2:5' }",
    )
    tab.wait("events().length === 2")
    assert tab.evaluate("said.filter(({ kind }) => kind === 'gap').map(({ value }) => value)") == ["a"]
    assert positions(odd_server, tab) == ["a:e9.m3:3", "b:e2.m6:6"]


def test_an_event_is_given_once_by_its_id_within_its_topic(client, odd_server):
    tab = client(
        sending(
            resumed("a", "e1:0"), resumed("b", "e2:0"),
            tick("a", 1, id="x"), tick("a", 1, id="x"), tick("b", 1, id="x"), tick("a", 2, id="x"), tick("a", 3),
        )
    )  # fmt: skip
    tab.wait("events().includes('a3')")
    assert tab.evaluate("events()") == ["a1", "b1", "a3"]
    assert positions(odd_server, tab) == ["a:e1.m3:3", "b:e2.m1:1"]


def test_an_older_event_does_not_take_the_position_back(client, odd_server):
    tab = client(sending(resumed("a", "e1:8"), tick("a", 9), tick("a", 5)))
    tab.wait("events().includes('a5')")
    assert positions(odd_server, tab) == ["a:e1.m9:9"]


def test_many_events_keep_the_memory_of_ids_bounded(client):
    tab = client(sending(resumed("a", "e1:0"), *(tick("a", n) for n in range(1, 2501))))
    tab.wait("events().length === 2500")
    assert tab.evaluate("live._positions.seen('a')") == 1000


@pytest.mark.parametrize("positions", ["'e1:3'", "null", "['a:e1:3']", "{ a: 3 }", "{ a: { epoch: 'e1', offset: 3 } }"])
def test_a_position_without_its_topic_is_refused(client, positions):
    tab = client(well, **QUICK)
    with pytest.raises(RuntimeError, match=r"TypeError: positions.*expected"):
        tab.evaluate(f"open_(path, {{ positions: {positions} }})")


NO_EVENTS = [
    "{", "", "null", "5", "[]", '"pong"', "{}", '{"type": 5}', '{"type": null}', '{"type": "constructor"}',
    '{"type": "__proto__"}', '{"type": "toString", "offset": 4}', '{"type": "new.kind"}',
    '{"type": "error", "code": "x"}',
    '{"type": "resumed"}', '{"type": "stale"}', '{"type": "drain"}', '{"type": "pong", "x": 1}', '{"type": "pong"}' * 2,
    '{"type": "tick", "n": 0, "offset": "7"}', '{"type": "tick", "n": 0, "offset": 1.5}', "x" * 60_000,
]  # fmt: skip


def test_what_is_no_event_is_passed_over(client, odd_server):
    tab = client(sending(*NO_EVENTS, TICK), **QUICK)
    tab.wait("events().includes(1)")
    assert tab.evaluate("states()") == ["live"]
    assert tab.evaluate("said.filter(({ kind }) => kind === 'error')") == []
    until(lambda: len(odd_server.peers[0].messages) > 4)
    assert len(odd_server.peers) == 1


def test_a_binary_message_is_passed_over(client):
    tab = client(first_then(sending(b"\x00\x01", b"{}", opcode=BINARY), well), **QUICK)
    live(tab)
    assert tab.evaluate("said.filter(({ kind }) => kind === 'error')") == []


def test_a_handler_that_fails_is_reported_and_stops_nothing(client, odd_server):
    tab = client(
        sending(resumed("a", "e1:0", recovered=False), TICK, tick("a", 2), {"type": "well", "n": 3}),
        on="{ tick: () => { throw new Error('mine'); }, well: ({ n }) => said.push({ kind: 'event', value: n }) }",
        onState="() => { throw new Error('state'); }",
        onGap="() => { throw new Error('gap'); }",
    )
    tab.wait("events().includes(3)")
    errors = tab.evaluate("said.filter(({ kind }) => kind === 'error').map(({ value }) => value)")
    assert [error.rpartition(" ")[2] for error in errors] == ["state", "gap", "mine", "mine"]
    assert positions(odd_server, tab) == ["a:e1.m2:2"]
