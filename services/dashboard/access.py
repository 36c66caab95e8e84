"""What ends a user's access, and so their sockets: logout, deactivation, a new password, lost permission."""

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import m2m_changed, post_delete, pre_save
from django.http import HttpRequest

from tidewire.revocation import revoke
from tidewire.ticket import session_mark

# A change of one of these ends every session's sockets; they come back where the session still stands.
_DECISIVE = ("password", "is_active", "is_staff", "is_superuser", "username")


def connect() -> None:
    """Listen to Django's signals, once per process."""
    user_logged_out.connect(_logged_out, dispatch_uid="dashboard.access")
    pre_save.connect(_saved, sender=User, dispatch_uid="dashboard.access")
    post_delete.connect(_deleted, sender=User, dispatch_uid="dashboard.access")
    for through in (User.groups.through, User.user_permissions.through):
        m2m_changed.connect(_permitted, sender=through, dispatch_uid="dashboard.access")


def _logged_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None and request.session.session_key:
        revoke(user.pk, session=session_mark(request.session.session_key))


def _saved(instance: User, update_fields: frozenset[str] | None, **_: Any) -> None:
    if update_fields is not None and not update_fields.intersection(_DECISIVE):
        return
    before = User.objects.filter(pk=instance.pk).values(*_DECISIVE).first()
    if before is not None and any(getattr(instance, name) != value for name, value in before.items()):
        revoke(instance.pk)


def _deleted(instance: User, **_: Any) -> None:
    revoke(instance.pk)


def _permitted(instance: object, action: str, **_: Any) -> None:
    if action in ("post_remove", "post_clear") and isinstance(instance, User):
        revoke(instance.pk)
