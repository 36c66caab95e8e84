"""Pods of stock Daphne with channels_redis and pods of tidewire exchange messages while one kind replaces the other."""

import sys

import pytest

from tests import redis_servers
from tests.contract.rolling_change import STOCK, TIDEWIRE, rolling_change
from tests.contract.room_account import Message, Socket, account


async def test_no_message_is_lost_between_old_and_new_pods(capsys):
    if reason := redis_servers.why_not():
        pytest.skip(reason)
    result = await rolling_change(sockets=20, messages_per_second=20.0, hold_seconds=2.0)
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *result.lines(), ""]))
    kinds = (STOCK, TIDEWIRE)
    assert {(source, target) for source in kinds for target in kinds if not result.due[source, target]} == set()
    assert sum(result.lost.values()) == 0
    assert (result.doubled, result.reordered) == (0, 0)


def talk():
    """Two sockets of different pods in one room, and three messages of the first."""
    sockets = [Socket("room", STOCK, 0.0), Socket("room", TIDEWIRE, 0.0), Socket("other", STOCK, 0.0)]
    messages = [Message(f"message {number}", "room", sockets[0], number, 5.0 + number) for number in range(3)]
    for socket in sockets[:2]:
        socket.received = [message.text for message in messages]
    return sockets, messages


def test_the_account_is_even_if_each_socket_has_each_message_of_its_room():
    result = account(*talk())
    assert result.due == {(STOCK, STOCK): 3, (STOCK, TIDEWIRE): 3}
    assert (sum(result.lost.values()), result.doubled, result.reordered, result.unsent) == (0, 0, 0, 0)


def test_the_account_finds_a_lost_a_doubled_and_a_late_message():
    sockets, messages = talk()
    sockets[1].received = ["message 2", "message 0", "message 0"]
    result = account(sockets, messages)
    assert result.lost == {(STOCK, STOCK): 0, (STOCK, TIDEWIRE): 1}
    assert (result.doubled, result.reordered) == (1, 2)


def test_a_message_near_the_end_of_a_socket_is_due_to_none():
    sockets, messages = talk()
    sockets[1].received, sockets[1].closed_at = ["message 0"], 6.5
    assert account(sockets, messages).due == {(STOCK, STOCK): 3, (STOCK, TIDEWIRE): 1}
    sockets[1].received = []
    assert sum(account(sockets, messages).lost.values()) == 1


def test_a_message_that_its_sender_could_not_pass_on_is_counted_apart():
    sockets, messages = talk()
    sockets[0].closed_at = 7.5
    for socket in sockets[:2]:
        socket.received.remove("message 2")
    result = account(sockets, messages)
    assert (result.unsent, sum(result.lost.values())) == (1, 0)
