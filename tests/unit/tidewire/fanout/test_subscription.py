"""The states of a subscription, and the transitions between them."""

import pytest

from tests.unit.tidewire.fakes import FakeSocket
from tidewire.fanout.subscription import State, Subscription
from tidewire.topics import Position

PLACE = Position("e1", 3)


@pytest.fixture
def subscription():
    return Subscription("talk", FakeSocket().connection, PLACE)


def test_a_connection_joins_follows_loses_and_follows_again(subscription):
    assert (subscription.state, subscription.position) == (State.JOINING, None)
    subscription.follow(3)
    assert (subscription.state, subscription.position) == (State.FOLLOWING, 3)
    subscription.lose()
    assert (subscription.state, subscription.position) == (State.LOST, None)
    subscription.follow(9)
    assert (subscription.state, subscription.position) == (State.FOLLOWING, 9)


def test_a_topic_that_begins_is_joined_again(subscription):
    subscription.follow(0)
    subscription.join_again(Position("e2", 0))
    assert (subscription.state, subscription.position, subscription.at) == (State.JOINING, None, Position("e2", 0))


def test_an_illegal_transition_names_the_expected_states(subscription):
    with pytest.raises(RuntimeError, match="topic talk: a subscription becomes joining from following, and is joining"):
        subscription.join_again(PLACE)
    subscription.lose()
    with pytest.raises(
        RuntimeError, match="topic talk: a subscription becomes lost from joining or following, and is lost"
    ):
        subscription.lose()
