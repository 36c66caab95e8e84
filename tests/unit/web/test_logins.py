"""Guessing passwords: what stops it, whom that does not hit, and that it needs no Redis."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.utils import timezone

LIMIT = 5


@pytest.fixture
def attempt(client):
    """Tries to log in; the status: 302 is in, 200 is the form again, 429 is locked out."""

    def tried(name: str, password: str = "wrong", address: str = "10.0.0.1") -> int:  # noqa: S107
        fields = {"username": name, "password": password}
        return client.post("/login/", fields, headers={"X-Real-IP": address, "User-Agent": address}).status_code

    return tried


def test_the_fifth_wrong_password_locks_that_user_at_that_address(attempt, ada, bob):
    """The right one does not help any more; other users there, and the user elsewhere, log in."""
    assert [attempt("ada") for _ in range(LIMIT)] == [200] * (LIMIT - 1) + [429]
    assert attempt("ada", "demo") == 429
    assert attempt("bob", "demo") == 302


def test_the_user_logs_in_from_elsewhere(attempt, ada):
    for _ in range(LIMIT):
        attempt("ada")
    assert attempt("ada", "demo", "10.0.0.2") == 302


def test_a_user_who_does_not_exist_is_treated_alike(attempt, db):
    """The answers tell nobody who has an account."""
    assert [attempt("nobody") for _ in range(LIMIT)] == [200] * (LIMIT - 1) + [429]


def test_one_user_is_guessed_from_many_addresses_fifty_times(attempt, ada):
    statuses = [attempt("ada", address=f"10.0.1.{number // 4}") for number in range(60)]
    assert statuses.index(429) == 10 * LIMIT - 1
    assert attempt("ada", "demo", "10.0.0.2") == 429


def test_one_address_guesses_at_many_users_fifty_times(attempt, ada):
    statuses = [attempt(f"user-{number}") for number in range(60)]
    assert statuses.index(429) == 10 * LIMIT - 1
    assert attempt("ada", "demo", "10.0.0.2") == 302


def test_a_success_forgives_own_failures_and_no_others(client, attempt, ada, bob):
    """Whoever guesses cannot reset the count by logging in as themself."""
    for _ in range(LIMIT - 1):
        attempt("ada")
        attempt("bob")
    assert attempt("bob", "demo") == 302
    client.logout()
    assert attempt("bob") == 200
    assert attempt("ada") == 429


def test_a_lock_ends_after_its_time(attempt, ada):
    for _ in range(LIMIT):
        attempt("ada")
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert attempt("ada", "demo") == 302


def test_the_answer_says_what_to_do(client, db):
    for _ in range(LIMIT):
        page = client.post("/login/", {"username": "ada", "password": "wrong"})
    assert page.status_code == 429
    assert "Wait for fifteen minutes" in page.text


def test_what_is_kept_of_an_attempt_is_no_password(attempt, ada):
    attempt("ada", "nearly my password")
    assert "nearly" not in str(AccessAttempt.objects.values().get())


def test_the_admin_has_no_login_of_its_own(client, ada):
    """Its page would be a second door without nginx's limit."""
    assert client.get("/admin/").url == "/admin/login/?next=/admin/"
    assert client.get("/admin/login/?next=/admin/").url.startswith("/login/?next=")
    assert client.post("/admin/login/", {"username": "ada", "password": "demo"}).status_code == 302
    assert "_auth_user_id" not in client.session
