"""Users that lose a permission in any way, and whether their sockets are closed."""

import os
import subprocess
import sys

import pytest
from django.contrib.auth.models import Group, Permission, User

from tidewire.auth import signals

# A project that is not the dashboard: its users have an e-mail address, no permissions, and a key that is no number.
FOREIGN_PROJECT = """
import uuid
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="x" * 50,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "members", "tidewire"],
    AUTH_USER_MODEL="members.Member",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    TIDEWIRE={"REDIS_URL": "redis://127.0.0.1:1/0"},
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command
from tidewire.models import OutboxEvent

call_command("migrate", verbosity=0, run_syncdb=True)
member = get_user_model().objects.create(email="ada@example.org")
assert not OutboxEvent.objects.exists()
member.is_active = False
member.save()
[row] = OutboxEvent.objects.all()
assert str(member.pk) in row.body and '"final":true' in row.body.replace(" ", ""), row.body
member.email = "ada@example.com"
member.save(update_fields=["email"])
assert OutboxEvent.objects.count() == 2
member.delete()
assert OutboxEvent.objects.count() == 3
print("revoked")
"""
MEMBERS = """
import uuid
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models

class Member(AbstractBaseUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True)
    USERNAME_FIELD = "email"
"""


@pytest.fixture
def ada(db):
    return User.objects.create(username="ada")


@pytest.fixture
def bob(db):
    return User.objects.create(username="bob")


def test_the_app_revokes_the_users_of_any_model(tmp_path):
    (tmp_path / "members").mkdir()
    (tmp_path / "members" / "__init__.py").touch()
    (tmp_path / "members" / "models.py").write_text(MEMBERS, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(
        [sys.executable, "-c", FOREIGN_PROJECT], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "revoked\n", done.stderr[-2000:]


@pytest.fixture
def revoked(monkeypatch):
    users: list[int] = []
    monkeypatch.setattr(signals, "revoke", lambda user, **_: users.append(user))
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


@pytest.mark.parametrize("what", TAKEN_AWAY)
def test_users_that_lose_a_permission_are_revoked(what, ada, editors, revoked):
    who, take_away = TAKEN_AWAY[what]
    take_away(ada, editors, Permission.objects.first())
    assert {User.objects.get(pk=pk).username for pk in revoked} == who


def test_users_that_gain_a_permission_are_not_revoked(ada, editors, revoked):
    ada.user_permissions.add(Permission.objects.last())
    editors.permissions.add(Permission.objects.last())
    assert revoked == []
