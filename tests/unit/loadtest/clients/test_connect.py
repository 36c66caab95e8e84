"""The URLs of live sockets."""

import pytest

from loadtest.clients.connect import socket_url


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:18080", "ws://localhost:18080/ws/users/"),
        ("https://tide.example", "wss://tide.example/ws/users/"),
    ],
)
def test_socket_is_of_the_pages_host_and_as_secure(origin, expected):
    assert socket_url(origin, "/ws/users/", at="", addresses=(), turn=3) == expected


def test_socket_says_where_the_page_stands():
    url = socket_url("http://a", "/ws/notifications/", at="notifications:5f:12", addresses=(), turn=0)
    assert url == "ws://a/ws/notifications/?at=notifications%3A5f%3A12"


def test_addresses_of_nodes_take_turns():
    nodes = ("ws://127.0.0.1:18200", "wss://node-2.example/")
    urls = [socket_url("http://a", "/ws/users/", at="", addresses=nodes, turn=turn) for turn in range(3)]
    assert urls == [
        "ws://127.0.0.1:18200/ws/users/",
        "wss://node-2.example/ws/users/",
        "ws://127.0.0.1:18200/ws/users/",
    ]
