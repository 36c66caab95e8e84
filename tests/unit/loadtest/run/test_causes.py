"""The cause of a failure in a few words that are the same each time."""

import http.client
import socket
import ssl

import pytest
import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError
from websocket import WebSocketBadStatusException, WebSocketTimeoutException

from loadtest.clients.socket_readers import Closed
from loadtest.run.causes import cause, own_fault, status_cause
from loadtest.run.page_error import PageError


def from_requests(inner):
    """An exception as `requests` raises it: wrapped three times."""
    try:
        try:
            raise inner
        except OSError as error:
            raise NewConnectionError(None, f"<connection at 0x7f33aa55>: {error}") from error
    except NewConnectionError as error:
        return requests.ConnectionError(MaxRetryError(None, "/login/", error))


def expired():
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "certificate has expired"
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (from_requests(ConnectionRefusedError(111, "Connection refused")), "connection refused"),
        (
            from_requests(socket.gaierror(-2, "Name or service not known")),
            "host name not found: Name or service not known",
        ),
        (from_requests(expired()), "certificate refused: certificate has expired"),
        (requests.ReadTimeout("read timeout=60"), "no answer in time"),
        (http.client.RemoteDisconnected("Remote end closed connection"), "connection closed by the server"),
        (WebSocketBadStatusException("Handshake status %d %s", 502, "Bad Gateway"), "server error 502 Bad Gateway"),
        (WebSocketBadStatusException("Handshake status %d %s", 403, "Forbidden"), "answer 403 Forbidden"),
        (WebSocketTimeoutException("timed out"), "no answer in time"),
        (Closed(4003), "closed with 4003"),
        (PageError("the login page refused the name"), "the login page refused the name"),
        (OSError(113, "No route to host"), "no route to host"),
        (ValueError("task 0x7f1234 of 123456"), "task ... of ..."),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_innermost_cause_is_named(error, words):
    assert cause(error) == words


def test_unknown_status_is_a_server_error_too():
    assert status_cause(599) == "server error 599"
    assert status_cause(504) == "server error 504 Gateway Timeout"


def test_own_fault_has_its_place():
    with pytest.raises(KeyError) as raised:
        {}["editors"]
    assert own_fault(raised.value).startswith("KeyError: 'editors' in test_causes.py:")
