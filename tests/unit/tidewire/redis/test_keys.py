"""Names of Redis keys: all have one prefix, and no two things share a name."""

import inspect

import pytest

from tidewire.redis.keys import Keys

KEYS = Keys("app")
BUILT = {
    "versions": KEYS.versions,
    "tags": KEYS.tags,
    "nodes": KEYS.nodes,
    "deadlines": KEYS.deadlines,
    "node_connections": KEYS.node_connections("ws-1"),
    "audits": KEYS.audits,
    "lineage": KEYS.lineage("documents"),
    "witness": KEYS.witness("ws-1"),
    "members": KEYS.members("document.plan", "read"),
    "changed": KEYS.changed("documents"),
    "busy": KEYS.busy("documents"),
    "edit_lease": KEYS.edit_lease("lease.plan"),
    "stream": KEYS.stream("talk"),
    "position": KEYS.position("talk"),
    "seen": KEYS.seen("talk"),
    "reports": KEYS.reports,
    "report_times": KEYS.report_times,
    "commands": KEYS.commands,
}


def test_the_names_are_these():
    """Names are a contract with existing data in Redis, which a change would lose."""
    assert BUILT == {
        "versions": "app:versions",
        "tags": "app:versions:tags",
        "nodes": "app:nodes",
        "deadlines": "app:deadlines",
        "node_connections": "app:connections:ws-1",
        "audits": "app:audits",
        "lineage": "app:lineage:documents",
        "witness": "app:witness:ws-1",
        "members": "app:members:document.plan:read",
        "changed": "app:changed:documents",
        "busy": "app:busy:documents",
        "edit_lease": "app:edit_lease:lease.plan",
        "stream": "app:stream:talk",
        "position": "app:position:talk",
        "seen": "app:seen:talk",
        "reports": "app:reports",
        "report_times": "app:report_times",
        "commands": "app:commands",
    }


def test_every_key_is_listed_here():
    """A new key must be listed above."""
    assert set(BUILT) == {name for name, _ in inspect.getmembers(Keys) if not name.startswith("_")} - {"prefix"}


@pytest.mark.parametrize("name", BUILT)
def test_two_prefixes_share_nothing(name):
    """Two projects in one Redis share no keys."""
    assert BUILT[name].startswith("app:")
    assert len(set(BUILT.values())) == len(BUILT)
