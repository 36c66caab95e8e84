"""deploy.local.layout: ports and directories of one stack."""

import socket

import pytest

from deploy.local.layout import LOOPBACK, LayoutError, Ports, free_port, free_range, is_taken


def test_one_web_and_two_ws_are_the_default():
    ports = Ports.from_variables({})
    assert (len(ports.web), len(ports.ws), len(ports.admin)) == (1, 2, 2)


def test_web_and_ws_scale_apart():
    ports = Ports.from_variables({"WEB": "3", "WS": "1"})
    assert ports.web == (18100, 18101, 18102)
    assert ports.ws == (18200,)


def test_each_variable_moves_its_port():
    ports = Ports.from_variables({"PORT": "8000", "WS_PORT": "9000", "WS": "2"})
    assert ports.nginx == 8000
    assert ports.ws == (9000, 9001)


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "http"), ("PORT", "70000"), ("WEB", "0"), ("WS", "-1"), ("WS", "100")]
)
def test_an_odd_variable_is_named(name, value):
    with pytest.raises(LayoutError, match=f"{name}={value}"):
        Ports.from_variables({name: value})


def test_an_empty_variable_is_the_default():
    """`make up PORT=` must mean the default."""
    assert Ports.from_variables({"PORT": ""}).nginx == 18080


def test_a_taken_port_is_named_with_the_variable_that_moves_it():
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        ports = Ports.from_variables({"REDIS_PORT": str(port)})
        assert [line for line in ports.taken() if f"port {port} for redis is taken" in line and "REDIS_PORT=" in line]


def test_free_ports_are_free_and_differ():
    ports = Ports.free(web=3, ws=3)
    numbers = [number for _process, _variable, number in ports.named()]
    assert len(set(numbers)) == len(numbers) == 13
    assert not any(is_taken(number) for number in numbers)


def test_free_ports_are_of_the_part_that_a_process_was_given(monkeypatch):
    """Several processes search for free ports at the same time, so each must search in its own range."""
    monkeypatch.setenv("FREE_PORTS", "21000-21100")
    assert free_range() == (21000, 21100)
    numbers = [number for _process, _variable, number in Ports.free(web=3, ws=3).named()]
    assert all(21000 <= number < 21100 for number in [*numbers, free_port()])
