"""Signals for changes that end a user's access or may end it: deactivation, a new password, another role.

The sockets of a deactivated or deleted user close with a final code. After any other change the session may still be
valid: the sockets close with a reconnect code, and the next handshake checks the session.
`tidewire.auth.pages.TicketMiddleware` detects the end of a session.
"""

import contextlib
from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission, PermissionsMixin
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save

from tidewire.auth.revoke import revoke

# A change of one of these fields, or of the user's name, closes the sockets of all of the user's sessions.
_DECISIVE = ("password", "is_active", "is_staff", "is_superuser")
_UID = "tidewire.auth.signals"


def connect() -> None:
    """Connect to the signals of the project's user model, once per process."""
    user_model = get_user_model()
    pre_save.connect(_before_save, sender=user_model, dispatch_uid=_UID)
    post_save.connect(_after_save, sender=user_model, dispatch_uid=_UID)
    post_delete.connect(_after_delete, sender=user_model, dispatch_uid=_UID)
    if not issubclass(user_model, PermissionsMixin):
        return
    pre_delete.connect(_before_group_delete, sender=Group, dispatch_uid=_UID)
    for through in (user_model.groups.through, user_model.user_permissions.through, Group.permissions.through):
        m2m_changed.connect(_after_permission_change, sender=through, dispatch_uid=_UID)


def _decisive_fields(user_model: type[Model]) -> list[str]:
    names = []
    for name in (*_DECISIVE, getattr(user_model, "USERNAME_FIELD", "username")):
        with contextlib.suppress(FieldDoesNotExist):
            user_model._meta.get_field(name)  # noqa: SLF001  # documented by Django
            names.append(name)
    return names


def _before_save(instance: Model, update_fields: frozenset[str] | None, **_: Any) -> None:
    """Compare with the stored row. `_after_save` publishes, so that no later handshake can read the old row."""
    decisive = _decisive_fields(type(instance))
    is_decisive = update_fields is None or bool(update_fields.intersection(decisive))
    users = type(instance)._default_manager  # noqa: SLF001  # documented by Django
    before = users.filter(pk=instance.pk).values(*decisive).first() if is_decisive else None
    changed = before is not None and any(getattr(instance, name) != value for name, value in before.items())
    instance.__dict__["_access_changed"] = changed


def _after_save(instance: Any, **_: Any) -> None:
    if instance.__dict__.pop("_access_changed", False):
        revoke(instance.pk, final=not instance.is_active)


def _after_delete(instance: Model, **_: Any) -> None:
    revoke(instance.pk, final=True)


def _after_permission_change(instance: Any, action: str, model: type, pk_set: set[Any] | None, **_: Any) -> None:
    """Revoke users after a permission or a group was removed, from either side of the relation."""
    if isinstance(instance, get_user_model()):
        users = {instance.pk} if action in ("post_remove", "post_clear") else set()
    elif action == "post_remove" and model is get_user_model():
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


def _lost_by_clearing(instance: Group | Permission, model: type) -> set[Any]:
    if model is get_user_model():
        name = "user_permissions" if isinstance(instance, Permission) else "groups"
        return _pks(**{name: instance})
    return _members(instance.group_set.all() if isinstance(instance, Permission) else [instance])


def _members(groups: Iterable[Group]) -> set[Any]:
    return _pks(groups__in=groups)


def _pks(**condition: Any) -> set[Any]:
    users = get_user_model()._default_manager  # noqa: SLF001  # documented by Django
    return set(users.filter(**condition).values_list("pk", flat=True))


def _before_group_delete(instance: Group, **_: Any) -> None:
    for user in _members([instance]):
        revoke(user)
