"""The counts of failed logins and the known addresses."""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def forget_attempts(apps: Any, _schema: Any) -> None:
    """Delete what django-axes kept of failed logins, up to 100 MB a row. web.logins counts from here on."""
    apps.get_model("axes", "AccessAttempt").objects.all().delete()


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("axes", "__first__"),
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
        migrations.RunPython(forget_attempts, migrations.RunPython.noop),
    ]
