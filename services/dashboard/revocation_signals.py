"""Signals for changes that end a user's access or may end it: deactivation, a new password, another role.

The sockets of a deactivated or deleted user close with a final code. After any other change the session may still be
valid: the sockets close with a reconnect code, and the next handshake checks the session.
`tidewire.auth.pages.TicketMiddleware` detects the end of a session.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save

from tidewire.auth.revoke import revoke

# A change of one of these fields closes the sockets of all of the user's sessions.
_DECISIVE = ("password", "is_active", "is_staff", "is_superuser", "username")


def connect() -> None:
    """Connect to Django's signals, once per process."""
    pre_save.connect(_before_save, sender=User, dispatch_uid="dashboard.revocation_signals")
    post_save.connect(_after_save, sender=User, dispatch_uid="dashboard.revocation_signals")
    post_delete.connect(_after_delete, sender=User, dispatch_uid="dashboard.revocation_signals")
    pre_delete.connect(_before_group_delete, sender=Group, dispatch_uid="dashboard.revocation_signals")
    for through in (User.groups.through, User.user_permissions.through, Group.permissions.through):
        m2m_changed.connect(_after_permission_change, sender=through, dispatch_uid="dashboard.revocation_signals")


def _before_save(instance: User, update_fields: frozenset[str] | None, **_: Any) -> None:
    """Compare with the stored row. `_after_save` publishes, so that no later handshake can read the old row."""
    is_decisive = update_fields is None or bool(update_fields.intersection(_DECISIVE))
    before = User.objects.filter(pk=instance.pk).values(*_DECISIVE).first() if is_decisive else None
    changed = before is not None and any(getattr(instance, name) != value for name, value in before.items())
    instance.__dict__["_access_changed"] = changed


def _after_save(instance: User, **_: Any) -> None:
    if instance.__dict__.pop("_access_changed", False):
        revoke(instance.pk, final=not instance.is_active)


def _after_delete(instance: User, **_: Any) -> None:
    revoke(instance.pk, final=True)


def _after_permission_change(
    instance: User | Group | Permission, action: str, model: type, pk_set: set[int] | None, **_: Any
) -> None:
    """Revoke users after a permission or a group was removed, from either side of the relation."""
    if isinstance(instance, User):
        users = {instance.pk} if action in ("post_remove", "post_clear") else set()
    elif action == "post_remove" and model is User:
        users = pk_set or set()
    elif action == "post_remove" and model is Group:
        users = _members(Group.objects.filter(pk__in=pk_set or ()))
    elif action == "post_remove" and isinstance(instance, Group):
        users = _members([instance])
    elif action == "pre_clear":
        # Read before the relation is cleared, when the users are still known.
        users = _lost_by_clearing(instance, model)
    else:
        users = set()
    for user in users:
        revoke(user)


def _lost_by_clearing(instance: Group | Permission, model: type) -> set[int]:
    if model is User:
        return set(instance.user_set.values_list("pk", flat=True))
    return _members(instance.group_set.all() if isinstance(instance, Permission) else [instance])


def _members(groups: Iterable[Group]) -> set[int]:
    return set(User.objects.filter(groups__in=groups).values_list("pk", flat=True))


def _before_group_delete(instance: Group, **_: Any) -> None:
    for user in _members([instance]):
        revoke(user)
