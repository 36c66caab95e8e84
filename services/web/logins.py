"""Rate limits for logins that an attacker cannot use to lock out other users.

An attempt counts for the user at the address, for the user, and for the address. Each count expires a quarter of an
hour after its first failure; a refused attempt is not counted, so no attack can prolong a lockout. For a browser or an
address from which the user has logged in before, failures elsewhere do not count.

django-axes calls this module at each login. The counts are in the database, so that a login does not need Redis.
"""

import hashlib
import ipaddress
import math
import secrets
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from axes.handlers.base import AxesBaseHandler
from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from web.models import FailedLogins, KnownAddress

PERIOD = timedelta(minutes=15)
# Attempts that a user with a half-forgotten password may need.
FOR_USER_AT_ADDRESS = 5
FOR_DEVICE = 5
# Ten attackers, or one with ten addresses, may guess at a user before attempts of strangers are refused.
FOR_USER = 50
# An office shares an address, and many of its users may log in there for the first time: only a script reaches this.
FOR_ADDRESS = 500
# A home, an office, a phone's networks: only the newest addresses of each user are kept.
ADDRESSES = 20
# A browser that has logged in within this time is known.
DEVICE_SECONDS = 90 * 24 * 3600
DEVICE_COOKIE = "tidewire_device"
# A provider assigns a network of IPv6 addresses to a customer, and each connection may use another address.
IPV6_NETWORK_BITS = 64
_SALT = "web.logins"
# Number of expired counts that one failure deletes, which must exceed the number that it can add.
PRUNED = 20


class Count(NamedTuple):
    """A group of attempts, and the number of them that may fail."""

    key: str
    limit: int


# Counts that must all have capacity for an attempt.
Rule = Sequence[Count]


class LoginLimits(AxesBaseHandler):
    """Refuses a login if no rule has capacity. An attempt is counted before the password is checked."""

    def is_allowed(self, request: Any, credentials: dict[str, Any] | None = None) -> bool:
        """Return whether the password may be checked."""
        request.login_rules = _rules(request, str((credentials or {}).get("username")))
        # A refused attempt writes nothing.
        with_capacity = _with_capacity(request.login_rules)
        request.login_taken = next((rule for rule in with_capacity if _take(rule)), ())
        return bool(request.login_taken)

    def user_login_failed(self, _sender: Any, credentials: Any, request: Any = None, **_: Any) -> None:
        """Mark the response if this attempt was refused, or the next one would be."""
        rules = getattr(request, "login_rules", ())
        if rules and not _with_capacity(rules):
            request.axes_locked_out = True
            request.axes_credentials = credentials
        _prune()

    def user_logged_in(self, _sender: Any, request: Any, user: User, **_: Any) -> None:
        """Uncount this attempt, reset the user's own failures here, and remember the address."""
        for count in getattr(request, "login_taken", ()):
            if count.limit in (FOR_USER_AT_ADDRESS, FOR_DEVICE):
                FailedLogins.objects.filter(key=count.key).delete()
            else:
                FailedLogins.objects.filter(key=count.key, count__gt=0).update(count=F("count") - 1)
        if client := _client(request):
            _remember(user, client)

    def user_logged_out(self, *_arguments: Any, **_: Any) -> None:
        """Do nothing: a logout changes no limit."""


def client_address(request: HttpRequest) -> str:
    """Return the client's address. nginx sets X-Real-IP and overwrites a value sent by the client."""
    return request.headers.get("X-Real-IP") or request.META.get("REMOTE_ADDR", "")


def _client(request: HttpRequest) -> str:
    """Return the identity of a client: an IPv4 address, or the network of an IPv6 address."""
    text = client_address(request)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv4Address):
        return text
    # The zone of a link-local address is not part of its network.
    whole = int(address) >> (128 - IPV6_NETWORK_BITS) << (128 - IPV6_NETWORK_BITS)
    return str(address.ipv4_mapped or ipaddress.IPv6Network((whole, IPV6_NETWORK_BITS)))


def locked_out(request: Any, _response: HttpResponse, _credentials: Any) -> HttpResponse:
    """Return the response to a refused login, with the time to wait."""
    keys = [count.key for rule in request.login_rules for count in rule]
    left = ExpressionWrapper(F("until") - Now(), output_field=DurationField())
    waits = FailedLogins.objects.filter(key__in=keys, until__gt=Now()).values_list(left, flat=True)
    minutes = math.ceil(max(waits, default=timedelta()) / timedelta(minutes=1))
    return render(request, "web/locked_out.html", {"minutes": max(minutes, 1)}, status=429)


def remember_device(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Set a cookie by which this user's next login in this browser is recognised."""
    name = user.get_username()
    device = _device(request, name) or secrets.token_hex(16)
    response.set_cookie(
        DEVICE_COOKIE,
        signing.dumps([name, device], salt=_SALT),
        max_age=DEVICE_SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _device(request: HttpRequest, name: str) -> str | None:
    """Return the browser's number, if the user has logged in there."""
    try:
        known, device = signing.loads(request.COOKIES.get(DEVICE_COOKIE, ""), salt=_SALT, max_age=DEVICE_SECONDS)
    except (signing.BadSignature, TypeError, ValueError):
        return None
    return str(device) if known == name else None


def _rules(request: HttpRequest, name: str) -> list[Rule]:
    """Return the rules that are open to this user here, first the one that strangers can affect least."""
    address = _client(request)
    at_address = Count(_key("user at address", name, address), FOR_USER_AT_ADDRESS)
    rules: list[Rule] = []
    if device := _device(request, name):
        rules.append((Count(_key("device", device), FOR_DEVICE),))
    if KnownAddress.objects.filter(user__username=name, address=_key(address)).exists():
        rules.append((at_address,))
    else:
        rules.append((at_address, Count(_key("user", name), FOR_USER), Count(_key("address", address), FOR_ADDRESS)))
    return rules


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()


def _take(rule: Rule) -> bool:
    """Count an attempt in each of the counts, or in none if one is full."""
    with transaction.atomic():
        taken = all(map(_take_one, rule))
        transaction.set_rollback(not taken)
    return taken


def _take_one(count: Count) -> bool:
    """Count an attempt in a single statement, so that concurrent attempts cannot exceed the limit together."""
    mine = FailedLogins.objects.filter(key=count.key)
    end = Now() + PERIOD
    # Retried once if another process pruned the row in between.
    for _ in range(2):
        FailedLogins.objects.bulk_create([FailedLogins(key=count.key, count=0, until=end)], ignore_conflicts=True)
        mine.filter(until__lte=Now()).update(count=0, until=end)
        if mine.filter(count__lt=count.limit).update(count=F("count") + 1):
            return True
        if mine.exists():
            break
    return False


def _with_capacity(rules: Iterable[Rule]) -> list[Rule]:
    keys = [count.key for rule in rules for count in rule]
    counts = dict(FailedLogins.objects.filter(key__in=keys, until__gt=Now()).values_list("key", "count"))
    return [rule for rule in rules if all(counts.get(count.key, 0) < count.limit for count in rule)]


def _prune() -> None:
    """Delete some expired counts. Locked ones are skipped, because two attempts could otherwise deadlock."""
    with transaction.atomic():
        expired = FailedLogins.objects.filter(until__lte=Now()).order_by("until").select_for_update(skip_locked=True)
        keys = list(expired.values_list("key", flat=True)[:PRUNED])
        if keys:
            FailedLogins.objects.filter(key__in=keys).delete()


def _remember(user: User, address: str) -> None:
    KnownAddress.objects.bulk_create(
        [KnownAddress(user=user, address=_key(address), seen=Now())],
        update_conflicts=True,
        unique_fields=["user", "address"],
        update_fields=["seen"],
    )
    mine = KnownAddress.objects.filter(user=user)
    old = list(mine.order_by("-seen", "-pk").values_list("pk", flat=True)[ADDRESSES:])
    if old:
        mine.filter(pk__in=old).delete()
