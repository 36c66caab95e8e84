"""deploy.local.ready: waiting with a timeout. Integration tests cover the requests themselves."""

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
    told = []
    assert ready.wait_until_ready({"a": "u1", "b": "u2"}, timeout_seconds=5, on_ready=told.append) == []
    assert told == ["a", "b"]


@pytest.mark.usefixtures("answers")
def test_a_process_without_a_url_is_not_waited_for():
    assert ready.wait_until_ready({"relay": ""}, timeout_seconds=5) == []


def test_the_wait_ends_at_its_bound(answers):
    answers |= {"u1"}
    assert ready.wait_until_ready({"a": "u1", "b": "u2"}, timeout_seconds=0.01) == ["b"]


@pytest.mark.usefixtures("answers")
def test_the_wait_ends_when_there_is_no_hope():
    assert ready.wait_until_ready({"a": "u1"}, timeout_seconds=3600, give_up=lambda: True) == ["a"]
