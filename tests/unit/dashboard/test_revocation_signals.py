"""Users that lose a permission in any way, and whether their sockets are closed."""

import pytest
from django.contrib.auth.models import Group, Permission, User

from dashboard import revocation_signals


@pytest.fixture
def revoked(monkeypatch):
    users: list[int] = []
    monkeypatch.setattr(revocation_signals, "revoke", lambda user, **_: users.append(user))
    return users


@pytest.fixture
def editors(ada, bob):
    group = Group.objects.create(name="editors")
    group.permissions.add(Permission.objects.first())
    ada.groups.add(group)
    ada.user_permissions.add(Permission.objects.first())
    bob.groups.add(group)
    return group


BOTH = {"ada", "bob"}
TAKEN_AWAY = {
    "one of her groups": ({"ada"}, lambda ada, _group, _permission: ada.groups.clear()),
    "her own permission": ({"ada"}, lambda ada, _group, permission: ada.user_permissions.remove(permission)),
    "her, from the group": ({"ada"}, lambda ada, group, _permission: group.user_set.remove(ada)),
    "all of the group's members": (BOTH, lambda _ada, group, _permission: group.user_set.clear()),
    "all of the group's permissions": (BOTH, lambda _ada, group, _permission: group.permissions.clear()),
    "one of the group's permissions": (BOTH, lambda _ada, group, permission: group.permissions.remove(permission)),
    "her, from the permission": ({"ada"}, lambda _ada, _group, permission: permission.user_set.clear()),
    "the group, from the permission": (BOTH, lambda _ada, group, permission: permission.group_set.remove(group)),
    "all groups, from the permission": (BOTH, lambda _ada, _group, permission: permission.group_set.clear()),
    "the group itself": (BOTH, lambda _ada, group, _permission: group.delete()),
}


@pytest.mark.parametrize("change", TAKEN_AWAY)
def test_users_that_lose_a_permission_are_revoked(change, ada, editors, revoked):
    users, take_away = TAKEN_AWAY[change]
    take_away(ada, editors, Permission.objects.first())
    assert {User.objects.get(pk=pk).username for pk in revoked} == users


def test_users_that_gain_a_permission_are_not_revoked(ada, editors, revoked):
    ada.user_permissions.add(Permission.objects.last())
    editors.permissions.add(Permission.objects.last())
    assert revoked == []
