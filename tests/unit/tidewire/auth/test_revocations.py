"""Revocations: the sockets that close, the tickets that become invalid, and a node without the latest revocations."""

import time
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.test import Client

from tests.unit.tidewire.fakes import FakeSocket
from tidewire import conf
from tidewire.auth import revocations as revocations_module
from tidewire.auth.revocations import CLOCK_MS, Revocations
from tidewire.auth.revoked import Revoked
from tidewire.auth.sessions import session_hash
from tidewire.auth.stamps import RedisClock
from tidewire.auth.ticket import Ticket
from tidewire.close_codes import CloseCode
from tidewire.events import Event, Resumed
from tidewire.exceptions import RedisUnavailable
from tidewire.fanout.frames import frame_event
from tidewire.models import OutboxEvent
from tidewire.topics import ANY_MARK, Position


def deliver(revocations: Revocations, event: Event) -> None:
    frame = frame_event(event)
    revocations.try_write([frame], frame.wire, 0)


# The clock of Redis, which differs from those of all hosts in these tests.
NOW_MS = 5_000_000


def revoked(user: str, session: str | None = None, *, final: bool = False, offset: int = 10) -> Revoked:
    return Revoked(id=uuid4(), user=user, session=session, final=final, offset=offset, mark=f"{offset:x}")


def place(offset: int, epoch: str = "a") -> Position:
    return Position(epoch, offset, f"{offset:x}" if offset else "")


def resumed(offset: int, epoch: str = "a", *, recovered: bool = True) -> Resumed:
    return Resumed(topic="revocations", recovered=recovered, at=str(place(offset, epoch)))


# The initial position of the node.
HERE = place(9)


def ticket(pk: str = "1", session: str = "another", at: Position = HERE, issued_ms: int = NOW_MS) -> Ticket:
    return Ticket(pk, "ada", session, at, issued_ms)


def set_clock() -> RedisClock:
    clock = RedisClock(monotonic=lambda: 0.0)
    clock.set(NOW_MS)
    return clock


@pytest.fixture
def sockets():
    sockets_by_name = {name: FakeSocket(user=user) for name, user in (("one", "1"), ("two", "1"), ("other", "2"))}
    sockets_by_name["one"].connection.session = "mark"
    return sockets_by_name


class Followed:
    """A hub with one topic that records the positions at which the topic was followed."""

    def __init__(self) -> None:
        self.stale = False
        self.followed: list[Position] = []

    def subscribe(self, _topic, _connection, at):
        self.followed.append(at.of("revocations"))
        return len(self.followed)

    def unsubscribe(self, subscription):
        assert subscription == len(self.followed)


@pytest.fixture
def hub():
    return Followed()


@pytest.fixture
def published_here():
    """Events that the node itself has published."""
    return []


@pytest.fixture
def revocations(hub, sockets, published_here):
    async def publish(event):
        published_here.append(event)

    new_revocations = Revocations(
        hub, lambda: [each.connection for each in sockets.values()], clock=set_clock(), publish=publish
    )
    deliver(new_revocations, resumed(9))
    return new_revocations


def test_a_session_s_end_closes_its_sockets_only(revocations, sockets):
    deliver(revocations, revoked("1", "mark", final=True))
    assert sockets["one"].closed == [CloseCode.REVOKED]
    assert sockets["two"].closed == sockets["other"].closed == []


def test_a_user_s_end_closes_all_their_sockets(revocations, sockets):
    deliver(revocations, revoked("1", final=True))
    assert sockets["one"].closed == sockets["two"].closed == [CloseCode.REVOKED]
    assert sockets["other"].closed == []


def test_a_change_of_a_user_closes_all_their_sockets_with_a_reconnect_code(revocations, sockets):
    """The session may still be valid, so the next handshake must decide."""
    deliver(revocations, revoked("1"))
    assert sockets["one"].closed == sockets["two"].closed == [CloseCode.EXPIRED]
    assert sockets["other"].closed == []
    assert not CloseCode.EXPIRED.final


def test_tickets_of_sessions_read_before_it_are_refused_and_later_ones_are_valid(revocations):
    """The position in each ticket decides, and the hosts' clocks do not matter."""
    assert revocations.allows(ticket())
    deliver(revocations, revoked("1", offset=10))
    assert not revocations.allows(ticket())
    assert not revocations.allows(ticket(issued_ms=NOW_MS + CLOCK_MS))
    assert revocations.allows(ticket(at=place(10)))
    assert revocations.allows(ticket(at=place(10), issued_ms=NOW_MS - 60_000))
    assert revocations.allows(ticket(pk="2"))
    assert not revocations.allows(ticket(pk="2", at=place(11))), "a position that this node has not reached"


def test_a_ticket_is_valid_for_its_life_by_the_clock_of_redis(revocations, settings):
    life_ms = conf.settings().TICKET_SECONDS * 1000
    assert revocations.allows(ticket(issued_ms=NOW_MS - life_ms))
    assert not revocations.allows(ticket(issued_ms=NOW_MS - life_ms - 1))
    assert not revocations.allows(ticket(issued_ms=NOW_MS + CLOCK_MS + 1)), "from the future: Redis's clock moved"


def test_a_ticket_of_another_epoch_is_refused(revocations):
    """Redis has lost the topic, so its earlier revocations are unknown."""
    assert not revocations.allows(ticket(at=place(9, "b")))
    assert not revocations.allows(ticket(at=Position("0", 0)))
    deliver(revocations, resumed(0, "b"))
    assert revocations.allows(ticket(at=place(0, "b")))
    assert not revocations.allows(ticket())


def test_a_ticket_of_events_that_redis_lost_is_refused(revocations):
    """Redis has since given the offset to another event, which the mark shows."""
    deliver(revocations, revoked("2", offset=10))
    assert revocations.allows(ticket(at=place(10)))
    deliver(revocations, resumed(9, recovered=False))
    deliver(revocations, resumed(9))
    deliver(revocations, revoked("1", offset=10).model_copy(update={"mark": "another"}))
    assert not revocations.allows(ticket(at=place(10)))
    assert revocations.allows(ticket(pk="3", at=Position("a", 10, "another")))


def test_without_the_time_of_redis_no_ticket_is_valid(hub):
    without_time = Revocations(hub, list, clock=RedisClock(), publish=None)
    deliver(without_time, resumed(9))
    assert not without_time.allows(ticket())


async def test_an_end_that_the_node_finds_itself_is_published(revocations, published_here):
    """This node must refuse its tickets at once, and so must the other nodes."""
    mark = session_hash("key")
    assert revocations.allows(ticket(session=mark))
    await revocations.end_session("1", "key", False)
    assert not revocations.allows(ticket(session=mark))
    assert [(event.user, event.session, event.final) for event in published_here] == [("1", mark, False)]
    assert revocations.close_code("1", mark, time.monotonic() + 1) is None, "a session that is read anew may be valid"


async def test_an_end_that_cannot_be_published_is_known_here(hub, sockets):
    async def publish(_event):
        raise RedisUnavailable("unavailable")

    unpublished = Revocations(hub, list, clock=set_clock(), publish=publish)
    deliver(unpublished, resumed(9))
    await unpublished.end_session("1", "key", True)
    assert not unpublished.allows(ticket(session=session_hash("key")))
    assert unpublished.close_code("1", session_hash("key"), time.monotonic() + 1) == CloseCode.REVOKED


def test_revocations_are_forgotten_after_the_life_of_tickets(revocations, monkeypatch):
    """A node may store only the revocations of the last half hour."""
    now = time.monotonic()
    for number in range(100):
        deliver(revocations, revoked(str(number), offset=10 + number))
        deliver(revocations, revoked("", f"mark {number}", offset=500 + number))
    monkeypatch.setattr(revocations_module, "time", SimpleNamespace(monotonic=lambda: now + 1801))
    deliver(revocations, revoked("1", offset=1000))
    assert len(revocations._users) == 1
    assert revocations._sessions == {}


def test_a_handshake_that_was_under_way_is_ended_too(revocations):
    """A session's end is final, and a user's lets the client reconnect. Other users' handshakes continue."""
    before = time.monotonic()
    assert revocations.close_code("1", "mark", before) is None
    deliver(revocations, revoked("1", "mark", final=True))
    assert revocations.close_code("1", "mark", time.monotonic() + 1) == CloseCode.REVOKED
    assert revocations.close_code("1", "another", before) is None
    deliver(revocations, revoked("1"))
    assert revocations.close_code("1", "another", before) == CloseCode.EXPIRED
    assert revocations.close_code("1", "another", time.monotonic() + 1) is None
    assert revocations.close_code("2", "another", before) is None


def test_a_session_s_tickets_end_with_it(revocations):
    deliver(revocations, revoked("1", "mark", offset=10))
    assert not revocations.allows(ticket(session="mark"))
    assert revocations.allows(ticket(session="another"))


def test_a_node_that_cannot_know_trusts_no_ticket(sockets):
    hub = SimpleNamespace(stale=False)
    unknowing = Revocations(hub, list, clock=set_clock(), publish=None)
    assert not unknowing.allows(ticket())
    deliver(unknowing, resumed(9))
    assert unknowing.allows(ticket())
    hub.stale = True
    assert not unknowing.allows(ticket())


def test_lost_history_distrusts_all_older_tickets(revocations):
    deliver(revocations, resumed(1700, recovered=False))
    # The node reads history first, and until then must not accept any ticket.
    assert not revocations.allows(ticket(at=place(1700)))
    deliver(revocations, Resumed(topic="revocations", recovered=True, at=str(Position("a", 1200, ANY_MARK))))
    for offset in range(1201, 1701):
        deliver(revocations, revoked("5", offset=offset))
    assert not revocations.allows(ticket(at=place(1199)))
    assert revocations.allows(ticket(at=place(1201)))
    assert revocations.allows(ticket(at=place(1700)))
    # A resume continues at the node's position, so its earlier revocations remain valid.
    deliver(revocations, resumed(1700))
    assert revocations.allows(ticket(at=place(1201)))


def test_lost_history_is_looked_for_once_and_sessions_are_checked(revocations, hub):
    """The event that began a new epoch can be read; history that is missing must not be requested repeatedly."""
    lost = []
    revocations._on_data_loss = lambda: lost.append(1)
    deliver(revocations, Resumed(topic="revocations", recovered=False, at="a:9"))
    deliver(revocations, Resumed(topic="revocations", recovered=False, at="a:9"))
    assert hub.followed == [Position("a", 0, ANY_MARK)]
    deliver(revocations, Resumed(topic="revocations", recovered=False, at="b:1700"))
    assert hub.followed[1:] == [Position("b", 1200, ANY_MARK)]
    assert len(lost) == 3


def test_looking_back_closes_no_socket_twice(revocations, sockets):
    """A client that has reconnected since may have every right to its socket."""
    event = revoked("1")
    deliver(revocations, event)
    deliver(revocations, event)
    assert sockets["one"].closed == [CloseCode.EXPIRED]


@pytest.fixture
def published(monkeypatch):
    """Events that were written to the outbox, without Redis."""
    monkeypatch.setattr("tidewire.publishing.publisher.wake", lambda: None)

    def read() -> list[Revoked]:
        return [Revoked.decode(row.body) for row in OutboxEvent.objects.filter(type="revoked")]

    return read


@pytest.mark.django_db(transaction=True)
def test_logout_revokes_the_session(published):
    ada = User.objects.create_user("ada", password="x")
    client = Client()
    client.force_login(ada)
    mark = session_hash(client.session.session_key)
    client.post("/logout/")
    assert [(event.user, event.session, event.final) for event in published()] == [(str(ada.pk), mark, True)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/logout/", "/admin/logout/"])
def test_a_logout_is_told_of_when_the_session_has_ended(monkeypatch, path):
    """If the revocation were published earlier, a client that it disconnects could reconnect with the same session."""
    client = Client()
    client.force_login(User.objects.create_user("ada", password="x", is_staff=True))
    session_counts = []
    monkeypatch.setattr("tidewire.publishing.publisher.wake", lambda: session_counts.append(Session.objects.count()))
    assert Session.objects.count() == 1
    client.post(path)
    assert session_counts == [0]


@pytest.mark.django_db(transaction=True)
def test_a_change_is_told_of_when_the_database_has_it(monkeypatch):
    ada = User.objects.create_user("ada", password="x")
    active = []
    monkeypatch.setattr(
        "tidewire.publishing.publisher.wake", lambda: active.append(User.objects.get(pk=ada.pk).is_active)
    )
    ada.is_active = False
    ada.save()
    assert active == [False]
    ada.save()
    assert active == [False]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["password", "deactivate", "demote", "group", "delete"])
def test_lost_access_revokes_the_user(published, change):
    """Only the deactivation and the deletion are final; after the other changes the session may still be valid."""
    ada = User.objects.create_user("ada", password="x", is_staff=True)
    group = Group.objects.create(name="editors")
    ada.groups.add(group)
    pk = str(ada.pk)
    assert published() == []
    match change:
        case "password":
            ada.set_password("y")
            ada.save()
        case "deactivate":
            ada.is_active = False
            ada.save(update_fields=["is_active"])
        case "demote":
            ada.is_staff = False
            ada.save()
        case "group":
            ada.groups.remove(group)
        case "delete":
            ada.delete()
    final = change in ("deactivate", "delete")
    assert {(event.user, event.session, event.final) for event in published()} == {(pk, None, final)}


@pytest.mark.django_db(transaction=True)
def test_a_login_or_a_new_name_for_mail_revokes_nothing(published):
    ada = User.objects.create_user("ada", password="x")
    Client().force_login(ada)
    ada.email = "ada@example.com"
    ada.save()
    assert published() == []
