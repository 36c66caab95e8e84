"""Whose session it is: what a page asks after its sockets were closed for good."""

import pytest
from django.urls import reverse

pytestmark = pytest.mark.django_db
SESSION = "/session/"


def test_the_answer_names_the_user_and_is_kept_nowhere(as_user, bob):
    answer = as_user(bob).get(SESSION)
    assert answer.json() == {"user": "bob"}
    assert answer.headers["Cache-Control"] == "no-store"


def test_without_a_login_the_answer_leads_to_the_login(client):
    """The page tells a logout from a server without an answer by this."""
    answer = client.get(SESSION)
    assert answer.status_code == 302
    assert answer.url.startswith(reverse("login"))
