"""The look-alike forms of the names that users had before `web.names` recorded them, or by an earlier rule of it."""

from typing import Any

from django.conf import settings
from django.db import migrations

from web.names import skeletons

BATCH = 1000


def record_names(apps: Any, _schema: Any) -> None:
    """Of two users whose names look alike already, the older keeps the form that both have."""
    row = apps.get_model("dashboard", "NameSkeleton")
    users = apps.get_model("auth", "User").objects.order_by("pk").values_list("pk", "username")
    rows = [row(user_id=pk, skeleton=each) for pk, name in users.iterator() for each in sorted(skeletons(name))]
    row.objects.bulk_create(rows, ignore_conflicts=True, batch_size=BATCH)


class Migration(migrations.Migration):
    dependencies = [
        ("web", "0001_login_limits"),
        ("dashboard", "0003_name_skeletons"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.RunPython(record_names, migrations.RunPython.noop)]
