"""The routes of the sockets: each path one consumer, and a room in it for every slug that a document may have."""

import pytest
from channels.routing import URLRouter

from dashboard.models import SLUG_LENGTH
from tidewire.consumer import LiveConsumer
from tidewire.edit_lease.consumer import LeaseConsumer
from tidewire.topics import NAME_LENGTH
from ws import consumers
from ws.routing import websocket_urlpatterns


def routed(path: str) -> tuple[type, dict]:
    """The consumer that a path leads to, and what the path says to it."""
    found = []
    for pattern in websocket_urlpatterns:
        match = pattern.pattern.match(path)
        if match is not None:
            found.append((pattern.callback.consumer_class, match[2]))
    [only] = found
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
    """One path, one consumer."""
    assert routed(path) == (consumer, kwargs)


def test_the_longest_slug_has_a_socket_and_a_topic():
    """Whatever a document is called, its page can be live."""
    slug = "x" * SLUG_LENGTH
    consumer, kwargs = routed(f"ws/document/{slug}/read/")
    assert kwargs["slug"] == slug
    made = consumer()
    made.scope = {"url_route": {"kwargs": kwargs}}
    [topic] = made.topics()
    assert len(topic.name) <= NAME_LENGTH


def test_every_consumer_is_live_and_routed():
    """None is left out, and none takes a channel of its own."""
    routed = {pattern.callback.consumer_class for pattern in websocket_urlpatterns}
    defined = {
        found for found in vars(consumers).values() if isinstance(found, type) and issubclass(found, LiveConsumer)
    }
    assert routed == defined - {LiveConsumer, LeaseConsumer}
    assert URLRouter(websocket_urlpatterns)
