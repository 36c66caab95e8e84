"""Guessing passwords: its limits, the users that they must not affect, and that they need no Redis."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from web import logins
from web.logins import ADDRESSES, DEVICE_COOKIE, FOR_ADDRESS, PRUNED
from web.models import FailedLogins, KnownAddress

LIMIT = 5


@pytest.fixture
def attempt(client):
    """Try to log in and return the status: 302 is success, 200 is the form again, 429 is locked out."""

    def tried(name: str, password: str = "wrong", address: str = "10.0.0.1") -> int:  # noqa: S107
        fields = {"username": name, "password": password}
        return client.post("/login/", fields, headers={"X-Real-IP": address, "User-Agent": address}).status_code

    return tried


def test_the_fifth_wrong_password_locks_that_user_at_that_address(attempt, ada, bob):
    """Then the right password must be refused too. Other users at the address, and the user elsewhere, may log in."""
    assert [attempt("ada") for _ in range(LIMIT)] == [200] * (LIMIT - 1) + [429]
    assert attempt("ada", "demo") == 429
    assert attempt("bob", "demo") == 302


def test_the_user_logs_in_from_elsewhere(attempt, ada):
    for _ in range(LIMIT):
        attempt("ada")
    assert attempt("ada", "demo", "10.0.0.2") == 302


def test_a_user_who_does_not_exist_is_treated_alike(attempt, db):
    """The responses must not reveal which accounts exist."""
    assert [attempt("nobody") for _ in range(LIMIT)] == [200] * (LIMIT - 1) + [429]


def test_one_user_is_guessed_from_many_addresses_fifty_times(attempt, ada):
    statuses = [attempt("ada", address=f"10.0.1.{number // 4}") for number in range(60)]
    assert statuses.index(429) == 10 * LIMIT - 1
    assert attempt("ada", "demo", "10.0.0.2") == 429


def test_the_addresses_of_one_ipv6_network_count_together(attempt, ada):
    """A machine has all addresses of its network, and each of them would have attempts of its own."""
    statuses = [attempt("ada", address=f"2001:db8:1:2::{number:x}") for number in range(LIMIT)]
    assert statuses == [200] * (LIMIT - 1) + [429]
    assert attempt("ada", "demo", "2001:db8:1:3::1") == 302


def test_an_ipv4_address_in_ipv6_notation_counts_alone(attempt, ada):
    """Such addresses are all in one network, and belong to different clients."""
    for _ in range(LIMIT):
        attempt("ada", address="::ffff:10.0.0.1")
    assert attempt("ada", "demo", "::ffff:10.0.0.2") == 302


def test_one_address_guesses_at_many_users_until_its_limit(attempt, ada, monkeypatch):
    """Fifty failures of one user must not lock out others of the same office at their first login there."""
    assert FOR_ADDRESS >= 500
    monkeypatch.setattr(logins, "FOR_ADDRESS", 60)
    statuses = [attempt(f"user-{number}") for number in range(70)]
    assert statuses.index(429) == 59
    assert attempt("ada", "demo") == 429
    assert attempt("ada", "demo", "10.0.0.2") == 302


def test_a_success_forgives_own_failures_and_no_others(client, attempt, ada, bob):
    """An attacker must not be able to reset the count by logging in to another account."""
    for _ in range(LIMIT - 1):
        attempt("ada")
        attempt("bob")
    assert attempt("bob", "demo") == 302
    client.logout()
    assert attempt("bob") == 200
    assert attempt("ada") == 429


def test_a_lock_ends_after_its_time_and_no_try_prolongs_it(attempt, ada):
    """Attempts during a lockout counted, so one address could keep an account locked forever."""
    for _ in range(LIMIT):
        attempt("ada")
    before = FailedLogins.objects.order_by("key").values_list("key", "count", "until")
    stored = list(before)
    for _ in range(20):
        assert attempt("ada") == 429
    assert list(before.all()) == stored
    FailedLogins.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert attempt("ada", "demo") == 302


def test_the_answer_says_what_to_do(client, db):
    for _ in range(LIMIT):
        page = client.post("/login/", {"username": "ada", "password": "wrong"})
    assert page.status_code == 429
    assert "Wait for 15 minutes" in page.text


def test_what_is_kept_of_an_attempt_is_a_hash(attempt, ada):
    attempt("ada", "nearly my password")
    stored = str(list(FailedLogins.objects.values()))
    assert "nearly" not in stored
    assert "ada" not in stored.replace("datetime", "")
    assert "10.0.0.1" not in stored


def test_a_known_address_is_not_locked_by_failures_elsewhere(attempt, ada):
    """An attacker with many addresses kept the owner out, even with the right password."""
    assert attempt("ada", "demo", "10.0.0.2") == 302
    stranger = Client()
    fields = {"username": "ada", "password": "wrong"}
    for number in range(60):
        stranger.post("/login/", fields, headers={"X-Real-IP": f"10.0.1.{number // 4}"})
    assert stranger.post("/login/", fields | {"password": "demo"}, headers={"X-Real-IP": "10.0.3.1"}).status_code == 429
    owner = Client()
    good = {"username": "ada", "password": "demo"}
    assert owner.post("/login/", good, headers={"X-Real-IP": "10.0.0.2"}).status_code == 302


def test_a_known_browser_is_not_locked_by_failures_at_its_address(client, attempt, ada):
    """An attacker in the same office kept the owner out."""
    assert attempt("ada", "demo") == 302
    client.post("/logout/")
    assert client.cookies[DEVICE_COOKIE]["httponly"]
    for _ in range(2 * LIMIT):
        Client().post("/login/", {"username": "ada", "password": "wrong"}, headers={"X-Real-IP": "10.0.0.1"})
    assert (
        Client().post("/login/", {"username": "ada", "password": "demo"}, headers={"X-Real-IP": "10.0.0.1"}).status_code
        == 429
    )
    assert attempt("ada", "demo") == 302


def test_a_known_browser_guesses_no_more_than_others(client, attempt, ada, bob):
    """The cookie is valid for its own user only, and for the same number of failures."""
    assert attempt("bob", "demo") == 302
    client.post("/logout/")
    statuses = [attempt("bob", address=f"10.0.5.{number}") for number in range(3 * LIMIT)]
    assert statuses.count(200) <= 3 * LIMIT
    assert FailedLogins.objects.get(key=logins._key("device", logins._device(_with(client), "bob"))).count == LIMIT
    assert [attempt("ada") for _ in range(LIMIT)][-1] == 429


def _with(client):
    class Request:
        COOKIES = {name: morsel.value for name, morsel in client.cookies.items()}

    return Request()


def test_what_is_kept_is_bounded_and_pruned(attempt, ada):
    """Each failure rewrote one growing row, and no rows were ever deleted."""
    for number in range(30):
        attempt(f"user-{number}", "p" * 1000)
    assert FailedLogins.objects.count() == 61
    FailedLogins.objects.update(until=timezone.now() - timedelta(seconds=1))
    before = FailedLogins.objects.count()
    attempt("ada")
    assert FailedLogins.objects.count() <= before + 3 - PRUNED
    for number in range(ADDRESSES + 5):
        assert attempt("ada", "demo", f"10.0.7.{number}") in (302, 429)
    assert KnownAddress.objects.filter(user=ada).count() <= ADDRESSES


def test_a_try_costs_the_same_however_many_there_were(client, ada, django_assert_max_num_queries):
    for _ in range(30):
        client.post("/login/", {"username": "ada", "password": "wrong", "more": "x" * 4000})
    with django_assert_max_num_queries(25):
        client.post("/login/", {"username": "ada", "password": "wrong"})


def test_the_admin_has_no_login_of_its_own(client, ada, bob):
    """The admin's login would have no limit in nginx, and could change the user of open sockets."""
    assert client.get("/admin/").url == "/admin/login/?next=/admin/"
    assert client.get("/admin/login/?next=/admin/").url == "/login/?next=/admin/"
    good = {"username": "ada", "password": "demo"}
    assert client.post("/admin/login/", good).status_code == 302
    assert "_auth_user_id" not in client.session
    client.force_login(bob)
    answer = client.post("/admin/login/", good)
    assert answer.status_code == 403
    assert "Log out first" in answer.text
    assert client.session["_auth_user_id"] == str(bob.pk)
