"""Counts of failed logins, known addresses, and the look-alike forms of the names that existing users have."""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from web.names import skeletons

BATCH = 1000


def record_names(apps: Any, _schema: Any) -> None:
    """If the names of two users look alike already, the older user keeps the form that both have."""
    row = apps.get_model("dashboard", "NameSkeleton")
    users = apps.get_model("auth", "User").objects.order_by("pk").values_list("pk", "username")
    rows = [row(user_id=pk, skeleton=each) for pk, name in users.iterator() for each in sorted(skeletons(name))]
    row.objects.bulk_create(rows, ignore_conflicts=True, batch_size=BATCH)


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("dashboard", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="FailedLogins",
            fields=[
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("count", models.PositiveSmallIntegerField()),
                ("until", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name="KnownAddress",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("address", models.CharField(max_length=64)),
                ("seen", models.DateTimeField()),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("user", "address"), name="known_address")],
            },
        ),
        migrations.RunPython(record_names, migrations.RunPython.noop),
    ]
