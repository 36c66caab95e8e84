"""Records of logins: failed attempts for a quarter of an hour, and addresses of successful logins."""

from typing import ClassVar

from django.contrib.auth.models import User
from django.db import models


class FailedLogins(models.Model):
    """Failed attempts that count together. The key is a hash, so it has 64 characters whatever the input."""

    key = models.CharField(max_length=64, primary_key=True)
    count = models.PositiveSmallIntegerField()
    # Set by the database's clock.
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.count} until {self.until}"


class KnownAddress(models.Model):
    """An address where a user has logged in. At most `web.logins.ADDRESSES` for each user."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    address = models.CharField(max_length=64)
    # Set by the database's clock.
    seen = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "address"], name="known_address")]

    def __str__(self) -> str:
        return f"{self.user}, seen {self.seen}"
