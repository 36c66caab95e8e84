"""A Channels with other methods than the tested ones, or with replaced ones, keeps its own dispatch."""

import functools

import pytest
from channels import consumer

from tidewire.adoption import tested_channels


@pytest.fixture(autouse=True)
def compared_each_time():
    tested_channels.untested.cache_clear()
    yield
    tested_channels.untested.cache_clear()


def test_the_installed_channels_is_a_tested_one():
    assert tested_channels.untested() == ""
    assert set(tested_channels._methods()) == set(tested_channels.TESTED)


def test_a_method_with_other_code_is_detected(monkeypatch):
    async def dispatch(self, message):
        """Call the handler of a message."""
        await self.trace(message)

    monkeypatch.setattr(consumer.AsyncConsumer, "dispatch", dispatch)
    assert tested_channels.untested() == "channels: AsyncConsumer.dispatch"


def test_a_wrapper_of_the_same_method_is_detected(monkeypatch):
    """Tracing tools wrap a method, and `functools.wraps` gives the wrapper the method's source."""
    original = consumer.AsyncConsumer.__call__

    @functools.wraps(original)
    async def traced(self, scope, receive, send):
        await original(self, scope, receive, send)

    monkeypatch.setattr(consumer.AsyncConsumer, "__call__", traced)
    assert tested_channels.untested() == "channels: AsyncConsumer.__call__"


def test_a_method_without_source_is_not_a_tested_one(monkeypatch):
    scope = {}
    exec("def get_handler_name(message):\n    return message", scope)  # noqa: S102 - code without a file
    monkeypatch.setattr(consumer, "get_handler_name", scope["get_handler_name"])
    assert tested_channels.untested() == "channels: get_handler_name"


def test_comments_and_docstrings_change_no_digest():
    def one(value):
        """Return it."""
        return value

    first = tested_channels.digest(one)

    def one(value):
        # As above.
        return value

    assert tested_channels.digest(one) == first


def test_an_asgiref_without_the_function_for_contexts_is_detected(monkeypatch):
    monkeypatch.delattr("asgiref.sync._restore_context")
    assert tested_channels.untested() == "asgiref.sync._restore_context"
