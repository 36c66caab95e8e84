"""deploy.local.layout: ports and directories of one stack."""

import re
import socket

import dj_database_url
import pytest

from deploy.local.layout import LOOPBACK, Layout, LayoutError, Ports, free_port, free_range, is_taken


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


def test_a_port_is_not_chosen_again_while_others_are_free(monkeypatch):
    """Two servers of a test had the same port, because neither listened when the second was chosen."""
    monkeypatch.setenv("FREE_PORTS", "21000-21020")
    chosen = [free_port() for _ in range(10)]
    assert len(set(chosen)) == len(chosen)
    assert free_port() in range(21000, 21020)


def test_free_ports_are_of_the_part_that_a_process_was_given(monkeypatch):
    """Several processes search for free ports at the same time, so each must search in its own range."""
    monkeypatch.setenv("FREE_PORTS", "21000-21100")
    assert free_range() == (21000, 21100)
    numbers = [number for _process, _variable, number in Ports.free(web=3, ws=3).named()]
    assert all(21000 <= number < 21100 for number in [*numbers, free_port()])


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WEB_PORT": "65500", "WEB": "99"}, "web-36 would need port 65536, and the last is 65535: lower WEB_PORT"),
        ({"PORT": "18100"}, "nginx and web-0 both have port 18100: move PORT or WEB_PORT"),
        ({"WS_PORT": "18299"}, "ws-1 and the admin port of ws-0 both have port 18300: move WS_PORT or ADMIN_PORT"),
    ],
)
def test_ports_that_cannot_be_are_named(variables, message):
    with pytest.raises(LayoutError, match=message):
        Ports.from_variables(variables)


@pytest.mark.parametrize(
    ("error", "port", "message"),
    [
        (PermissionError(13, "denied"), 80, "port 80 for nginx is only for root; .*: make up PORT=18080"),
        (OSError(98, "in use"), 18080, "port 18080 for nginx is taken; .*: make up PORT=19080"),
        (OSError(98, "in use"), 65535, "port 65535 for nginx is taken; .*: make up PORT=64535"),
    ],
)
def test_the_line_for_a_port_names_one_that_can_be(monkeypatch, error, port, message):
    class Refusing:
        __enter__ = lambda self: self  # noqa: E731
        __exit__ = setsockopt = lambda *_arguments: None

        def bind(self, _address):
            raise error

    monkeypatch.setattr(socket, "socket", Refusing)
    assert re.fullmatch(message, Ports.from_variables({"PORT": str(port)}).taken()[0])


@pytest.mark.parametrize("name", ["c++", "c#", "50%20", "what?", "sp ace", "ürün", "a;b"])
def test_the_database_is_in_its_directory_whatever_its_name_is(name, tmp_path):
    layout = Layout.from_variables({"VAR_DIR": str(tmp_path / name)})
    url = layout.environment({})["TIDEWIRE_DATABASE_URL"]
    assert dj_database_url.parse(url)["NAME"] == str(tmp_path / name / "tidewire.sqlite3")


@pytest.mark.parametrize("name", ["do$lar", 'quo"te', "a ;b", "co:lon"])
def test_a_name_that_a_program_cannot_use_is_refused_in_one_line(name, tmp_path):
    with pytest.raises(LayoutError, match=r"^.* in its name, which nginx or supervisord cannot use: rename it$"):
        Layout.from_variables({"VAR_DIR": str(tmp_path / name)})
