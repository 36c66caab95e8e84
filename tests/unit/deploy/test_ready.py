"""deploy.local.ready: waiting with a timeout. Integration tests cover the requests themselves."""

import urllib.error
import urllib.request

import pytest

from deploy.local import ready


@pytest.fixture
def answers(monkeypatch):
    """Return a set, to which a test adds the URLs that answer."""
    answering = set()
    monkeypatch.setattr(ready, "is_ready", answering.__contains__)
    monkeypatch.setattr(ready, "BETWEEN_SECONDS", 0)
    return answering


def test_all_that_answer_are_told_and_none_is_late(answers):
    answers |= {"u1", "u2"}
    calls = []
    assert ready.wait_until_ready({"a": "u1", "b": "u2"}, timeout_seconds=5, on_ready=calls.append) == []
    assert calls == ["a", "b"]


@pytest.mark.usefixtures("answers")
def test_a_process_without_a_url_is_not_waited_for():
    assert ready.wait_until_ready({"relay": ""}, timeout_seconds=5) == []


def test_the_wait_ends_at_its_bound(answers):
    answers |= {"u1"}
    assert ready.wait_until_ready({"a": "u1", "b": "u2"}, timeout_seconds=0.01) == ["b"]


@pytest.mark.usefixtures("answers")
def test_the_wait_ends_when_there_is_no_hope():
    assert ready.wait_until_ready({"a": "u1"}, timeout_seconds=3600, give_up=lambda: True) == ["a"]


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch):
    """`make up` would otherwise wait in vain where a proxy is set without exceptions."""
    monkeypatch.setenv("http_proxy", "http://proxy.example.com:3128")
    asked = []

    def answer(_handler, request):
        asked.append((request.host, request.full_url))
        raise urllib.error.URLError("no socket in a unit test")

    monkeypatch.setattr(urllib.request.HTTPHandler, "http_open", answer)
    assert not ready.is_ready("http://127.0.0.1:18080/readyz")
    assert asked == [("127.0.0.1:18080", "http://127.0.0.1:18080/readyz")]
