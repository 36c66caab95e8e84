"""The routes of sockets: each path has one consumer, and every possible slug of a document has a route."""

import pytest
from channels.routing import URLRouter

from dashboard.models import SLUG_LENGTH
from tidewire.consumers import LiveConsumer
from tidewire.contrib.edit_lease.consumer import LeaseConsumer
from tidewire.topics import NAME_LENGTH
from ws import consumers
from ws.routing import websocket_urlpatterns


def routed(path: str) -> tuple[type, dict]:
    """Return the consumer of a path, and the arguments from the path."""
    results = []
    for pattern in websocket_urlpatterns:
        match = pattern.pattern.match(path)
        if match is not None:
            results.append((pattern.callback.consumer_class, match[2]))
    [only] = results
    return only


@pytest.mark.parametrize(
    ("path", "consumer", "kwargs"),
    [
        ("ws/users/", consumers.UsersConsumer, {}),
        ("ws/documents/", consumers.DocumentsConsumer, {}),
        ("ws/notifications/", consumers.NotificationsConsumer, {}),
        ("ws/operations/", consumers.OperationsConsumer, {}),
        ("ws/document/plan/read/", consumers.DocumentConsumer, {"slug": "plan", "phase": "read"}),
        ("ws/document/a-b_2/update/", consumers.EditorConsumer, {"slug": "a-b_2", "phase": "update"}),
    ],
)
def test_a_path_leads_to_its_consumer(path, consumer, kwargs):
    """Each path has exactly one consumer."""
    assert routed(path) == (consumer, kwargs)


def test_the_longest_slug_has_a_socket_and_a_topic():
    """Any document's page can have sockets."""
    slug = "x" * SLUG_LENGTH
    consumer, kwargs = routed(f"ws/document/{slug}/read/")
    assert kwargs["slug"] == slug
    instance = consumer()
    instance.scope = {"url_route": {"kwargs": kwargs}}
    [topic] = instance.topics()
    assert len(topic.name) <= NAME_LENGTH


def test_every_consumer_is_live_and_routed():
    """No consumer is missing, and none uses a channel of its own."""
    routed = {pattern.callback.consumer_class for pattern in websocket_urlpatterns}
    defined = {
        value for value in vars(consumers).values() if isinstance(value, type) and issubclass(value, LiveConsumer)
    }
    assert routed == defined - {LiveConsumer, LeaseConsumer}
    assert URLRouter(websocket_urlpatterns)
