"""Revoking access: publishes the event that closes sockets and ends tickets on every node."""

from uuid import uuid4

from django.db import transaction

from tidewire.auth.revoked import Revoked
from tidewire.auth.sessions import key_is_data, session_hash
from tidewire.publish import publish

__all__ = ["revoke", "revoke_session"]


def revoke(user: object, *, session: str | None = None, final: bool = False) -> None:
    """Close a user's sockets and refuse the tickets issued so far, once the surrounding transaction commits.

    Args:
        user: Primary key of the user, of any type.
        session: Hash of the only session that is revoked; None for all sessions of the user.
        final: True to close the sockets as `REVOKED`. Otherwise the clients reconnect and are authenticated by their
            session.

    Example:
        >>> from django.contrib.auth.models import User
        >>> from django.db import transaction
        >>> def deactivate(user):
        ...     with transaction.atomic():
        ...         user.is_active = False
        ...         user.save()
        ...         revoke(user.pk)
        >>> deactivate(User.objects.create(username="ada"))

    """
    with transaction.atomic():
        event = Revoked(id=uuid4(), user=str(user), session=session, final=final)
        publish(event.topic, event)


def revoke_session(user: object, key: str) -> None:
    """Close the sockets and end the tickets of an ended session, once the surrounding transaction commits.

    With signed cookies the key of a session changes at each save, and sockets have older ones. All sockets of the user
    then reconnect, and those without a session are refused.

    Args:
        user: Primary key of the user, of any type.
        key: Key of the session, as in `request.session.session_key`.

    Example:
        >>> revoke_session(7, "the session's key")

    """
    if key_is_data():
        revoke(user)
    else:
        revoke(user, session=session_hash(key), final=True)
