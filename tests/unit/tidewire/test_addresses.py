"""Addresses are converted to their normal form, or refused with a message that does not show the URL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.addresses import host_name, host_port, origin, origin_setting, server_url

SCHEMES = ("redis", "rediss")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("https://docs.example.com", "https://docs.example.com"),
        ("https://docs.example.com/", "https://docs.example.com"),
        ("HTTPS://Docs.Example.COM", "https://docs.example.com"),
        ("https://docs.example.com:443", "https://docs.example.com"),
        ("https://docs.example.com:8443/", "https://docs.example.com:8443"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://[::1]:443", "https://[::1]"),
        ("https://[2001:DB8::0001]:8443", "https://[2001:db8::1]:8443"),
        ("http://127.0.0.1:18080", "http://127.0.0.1:18080"),
        ("http://my_host", "http://my_host"),
    ],
)
def test_an_origin_has_the_form_that_browsers_send(text, normal):
    """The conversion of a normal form does not change it."""
    assert origin_setting(text) == normal
    assert origin_setting(normal) == normal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("null", "begins with https://"),
        ("docs.example.com", "begins with https://"),
        ("//docs.example.com", "begins with https://"),
        ("wss://docs.example.com", "begins with https://"),
        ("*", "begins with https://"),
        ("https://*", "no wildcard"),
        ("https://*.example.com", "no wildcard"),
        ("https://docs.example.com/app", "without a path"),
        ("https://docs.example.com//", "without a path"),
        ("https://docs.example.com?a", "without a path"),
        ("https://docs.example.com?", "without a path"),
        ("https://docs.example.com#", "without a path"),
        ("https://ada@docs.example.com", "a user"),
        ("https://docs.example.com.", "no dot"),
        ("https://docs.example.com.:8443", "no dot"),
        ("https://docs..example.com", "without a scheme"),
        ("https://docs example.com", "no spaces"),
        ("https://docs.example.com\n", "no spaces"),
        ("https://", "a host is"),
        ("https://docs.example.com:", "1 to 65535"),
        ("https://docs.example.com:0", "1 to 65535"),
        ("https://docs.example.com:65536", "1 to 65535"),
        ("https://docs.example.com:https", "1 to 65535"),
        ("https://[::1", "brackets"),
        ("https://::1", "1 to 65535|a host is"),
        ("https://1.2.3", "four numbers"),
        ("https://straße.example", "xn--"),
    ],
)
def test_what_is_no_origin_is_refused(text, message):
    """The message names the problem."""
    with pytest.raises(ValueError, match=message):
        origin_setting(text)


@given(st.text())
def test_an_origin_is_normal_or_refused(text):
    """No header may raise any other exception."""
    for address in (text, f"https://{text}"):
        try:
            origin_of_text = origin(address)
        except ValueError:
            continue
        assert origin(origin_of_text) == origin_of_text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("Redis-1.redis:26379", ("redis-1.redis", 26379)),
        ("[::1]:26380", ("::1", 26380)),
        ("[0:0::1]:1", ("::1", 1)),
    ],
)
def test_a_host_and_its_port(text, parts):
    assert host_port(text) == parts


@pytest.mark.parametrize("text", ["", "redis", "redis:", ":6379", "redis:0", "redis:65536", "redis:\uff16", "::1:6379"])
def test_what_is_no_host_and_port_is_refused(text):
    with pytest.raises(ValueError, match=r"host:port|1 to 65535|brackets"):
        host_port(text)


@pytest.mark.parametrize("text", ["", "a b", "http://a", "a/b", "a:80", "-a", "a" * 64, "a." * 127 + "a", "1.2.3.256"])
def test_what_is_no_host_is_refused(text):
    with pytest.raises(ValueError, match=r"host|IPv4"):
        host_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "redis://h",
        "redis://h:6379/0",
        "redis://:pass@h",
        "redis://ada:a:b@h",
        "redis://ada:%40%3A%2F%23%25%3F@h/0",
        "redis://ada:ü@h",
        "rediss://[::1]:6379/0",
        "redis://%2Frun%2Fredis/0",
    ],
)
def test_a_url_that_every_client_reads_alike(text):
    assert server_url(text, SCHEMES).geturl() == text


@pytest.mark.parametrize(
    "text",
    [
        "redis://:hunter2@s@h",
        "redis://:hunter2/s@h",
        "redis://:hunter2?s@h",
        "redis://:hunter2#s@h",
        "redis://:12#hunter2@h",
        "redis://:hunter2%@h",
        "redis://:hunter2%zz@h",
        "redis://:hunter2[@h",
        "redis://:hunter2]@h",
        "redis://h/0#hunter2",
    ],
)
def test_a_password_that_is_not_encoded_is_refused_and_not_shown(text):
    """The message shows how to encode the password."""
    with pytest.raises(ValueError, match="%40") as refused:
        server_url(text, SCHEMES)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "http://hunter2",
        "hunter2",
        "redis:hunter2",
        "redis://hunter2:port",
        "redis://hunter2:0",
        "redis://hunter2:99999",
        "redis://::1:6379",
        "redis://hunter2:1,other:2",
        "redis://[hunter2",
        "redis://a hunter2",
        "redis://:hunter2℀@h:x",
    ],
)
def test_what_is_no_url_is_refused_and_not_shown(text):
    with pytest.raises(ValueError, match=r".") as refused:
        server_url(text, SCHEMES)
    assert "hunter2" not in str(refused.value)
