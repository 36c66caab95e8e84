"""Authors and staff may delete a document; all users that are logged in may edit it."""

import pytest

from dashboard import actions
from dashboard.permissions import can_delete


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("who", "fields", "may"),
    [
        ("author", {}, True),
        ("stranger", {}, False),
        ("staff", {"is_staff": True}, True),
        ("superuser without the staff flag", {"is_superuser": True}, False),
        ("deactivated staff", {"is_staff": True, "is_active": False}, False),
        ("deactivated author", {"is_active": False}, False),
    ],
)
def test_who_may_delete(user, who, fields, may):
    somebody = user("somebody", **fields)
    author = somebody if "author" in who else user("other")
    document = actions.create_document(author, title="Plan", body="")
    assert can_delete(somebody, document) is may


def test_everybody_edits(bob, plan):
    assert actions.update_document(bob, plan.pk, version=1, title="Plan", body="x").updated_by == bob
