"""The URL that a page requests after its sockets were closed with a final code."""

import pytest
from django.urls import reverse

pytestmark = pytest.mark.django_db
SESSION = "/session/"


def test_the_answer_names_the_user_and_is_kept_nowhere(as_user, bob):
    answer = as_user(bob).get(SESSION)
    assert answer.json() == {"user": "bob"}
    assert answer.headers["Cache-Control"] == "no-store"


def test_without_a_login_the_answer_leads_to_the_login(client):
    """With this redirect the page distinguishes a logout from a server that does not answer."""
    answer = client.get(SESSION)
    assert answer.status_code == 302
    assert answer.url.startswith(reverse("login"))
