"""Revocations: whose sockets close, whose tickets fall, and what a node does that cannot know."""

import time
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.test import Client

from tests.unit.tidewire.fakes import FakeSocket
from tidewire.close_codes import CloseCode
from tidewire.events import Event, Resumed
from tidewire.frames import frame_event
from tidewire.models import OutboxEvent
from tidewire.revocation import COMMIT_MS, Revocations, Revoked
from tidewire.ticket import Ticket, session_mark
from tidewire.topics import ANY, Position


def said(revocations: Revocations, event: Event) -> None:
    made = frame_event(event)
    revocations.offer([made], made.wire, 0)


def now_ms() -> int:
    return int(time.time() * 1000)


def revoked(user: str, session: str | None = None, *, final: bool = False, at_ms: int | None = None) -> Revoked:
    return Revoked(id=uuid4(), user=user, session=session, final=final, at_ms=at_ms or now_ms() + 1)


@pytest.fixture
def sockets():
    made = {name: FakeSocket(user=user) for name, user in (("one", "1"), ("two", "1"), ("other", "2"))}
    made["one"].connection.session = "mark"
    return made


class Followed:
    """A hub of one topic: where it was followed from."""

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
def revocations(hub, sockets):
    made = Revocations(hub, lambda: [each.connection for each in sockets.values()])
    said(made, Resumed(topic="revocations", recovered=True, at="0:0"))
    return made


def test_a_session_s_end_closes_its_sockets_only(revocations, sockets):
    said(revocations, revoked("1", "mark", final=True))
    assert sockets["one"].closed == [CloseCode.REVOKED]
    assert sockets["two"].closed == sockets["other"].closed == []


def test_a_user_s_end_closes_all_their_sockets(revocations, sockets):
    said(revocations, revoked("1", final=True))
    assert sockets["one"].closed == sockets["two"].closed == [CloseCode.REVOKED]
    assert sockets["other"].closed == []


def test_a_change_of_a_user_closes_all_their_sockets_with_a_reconnect_code(revocations, sockets):
    """The session may still be valid, so the next handshake decides."""
    said(revocations, revoked("1"))
    assert sockets["one"].closed == sockets["two"].closed == [CloseCode.EXPIRED]
    assert sockets["other"].closed == []
    assert not CloseCode.EXPIRED.final


def test_tickets_issued_before_it_fall_and_later_ones_stand(revocations):
    at_ms = now_ms()
    before, after = Ticket(1, "ada", "mark", at_ms - 5), Ticket(1, "ada", "mark", at_ms + COMMIT_MS + 5)
    # By a page that was rendered before the commit of what the event tells.
    amid = Ticket(1, "ada", "mark", at_ms + 100)
    assert revocations.allows(before)
    said(revocations, revoked("1", at_ms=at_ms))
    assert not revocations.allows(before)
    assert not revocations.allows(amid)
    assert revocations.allows(after)
    assert revocations.allows(Ticket(2, "bob", "else", at_ms - 5))


def test_a_handshake_that_was_under_way_is_ended_too(revocations):
    """A session's for good; a user's comes back to be looked up again, and others are not concerned."""
    before = time.monotonic()
    assert revocations.ended("1", "mark", before) is None
    said(revocations, revoked("1", "mark"))
    assert revocations.ended("1", "mark", time.monotonic() + 1) == CloseCode.REVOKED
    assert revocations.ended("1", "another", before) is None
    said(revocations, revoked("1"))
    assert revocations.ended("1", "another", before) == CloseCode.EXPIRED
    assert revocations.ended("1", "another", time.monotonic() + 1) is None
    assert revocations.ended("2", "another", before) is None


def test_a_session_s_ticket_falls_with_it(revocations):
    said(revocations, revoked("1", "mark"))
    assert not revocations.allows(Ticket(1, "ada", "mark", now_ms() + 1000))
    assert revocations.allows(Ticket(1, "ada", "another", now_ms()))


def test_a_node_that_cannot_know_trusts_no_ticket(sockets):
    hub = SimpleNamespace(stale=False)
    made = Revocations(hub, list)
    ticket = Ticket(1, "ada", "mark", now_ms() + 60_000)
    assert not made.allows(ticket)
    said(made, Resumed(topic="revocations", recovered=True, at="0:0"))
    assert made.allows(ticket)
    hub.stale = True
    assert not made.allows(ticket)


def test_lost_history_distrusts_all_older_tickets(revocations):
    said(revocations, Resumed(topic="revocations", recovered=False, at="a:9"))
    # It looks back first, and until then trusts none at all.
    assert not revocations.allows(Ticket(1, "ada", "mark", now_ms() + 1000))
    said(revocations, Resumed(topic="revocations", recovered=True, at="a:9"))
    assert not revocations.allows(Ticket(1, "ada", "mark", now_ms() - 1000))
    assert revocations.allows(Ticket(1, "ada", "mark", now_ms() + 1000))


def test_lost_history_is_looked_for_once_and_sessions_are_checked(revocations, hub):
    """The event that began a new epoch is there to be read; what is not there is not asked for again and again."""
    lost = []
    revocations.on_lost = lambda: lost.append(1)
    said(revocations, Resumed(topic="revocations", recovered=False, at="a:9"))
    said(revocations, Resumed(topic="revocations", recovered=False, at="a:9"))
    assert hub.followed == [Position("a", 0, ANY)]
    said(revocations, Resumed(topic="revocations", recovered=False, at="b:1700"))
    assert hub.followed[1:] == [Position("b", 1200, ANY)]
    assert len(lost) == 3


def test_looking_back_closes_no_socket_twice(revocations, sockets):
    """Who came back after it may have every right to."""
    event = revoked("1")
    said(revocations, event)
    said(revocations, event)
    assert sockets["one"].closed == [CloseCode.EXPIRED]


@pytest.fixture
def published(monkeypatch):
    """Events that left the outbox, without Redis."""
    monkeypatch.setattr("tidewire.outbox._publish_waiting", lambda: None)

    def read() -> list[Revoked]:
        return [Revoked.decode(row.body) for row in OutboxEvent.objects.filter(type="revoked")]

    return read


@pytest.mark.django_db(transaction=True)
def test_logout_revokes_the_session(published):
    ada = User.objects.create_user("ada", password="x")
    client = Client()
    client.force_login(ada)
    mark = session_mark(client.session.session_key)
    client.post("/logout/")
    assert [(event.user, event.session, event.final) for event in published()] == [(str(ada.pk), mark, True)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/logout/", "/admin/logout/"])
def test_a_logout_is_told_of_when_the_session_has_ended(monkeypatch, path):
    """Before that, whoever was closed would be let in again."""
    client = Client()
    client.force_login(User.objects.create_user("ada", password="x", is_staff=True))
    left = []
    monkeypatch.setattr("tidewire.outbox._publish_waiting", lambda: left.append(Session.objects.count()))
    assert Session.objects.count() == 1
    client.post(path)
    assert left == [0]


@pytest.mark.django_db(transaction=True)
def test_a_change_is_told_of_when_the_database_has_it(monkeypatch):
    ada = User.objects.create_user("ada", password="x")
    active = []
    monkeypatch.setattr(
        "tidewire.outbox._publish_waiting", lambda: active.append(User.objects.get(pk=ada.pk).is_active)
    )
    ada.is_active = False
    ada.save()
    assert active == [False]
    ada.save()
    assert active == [False]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["password", "deactivate", "demote", "group", "delete"])
def test_lost_access_revokes_the_user(published, change):
    """Only the deactivation and the deletion are final; after the others the session may be valid."""
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
