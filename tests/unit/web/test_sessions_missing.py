"""The metric of users whose session has been deleted while they work."""

from typing import Any

import pytest
from django.contrib.sessions.models import Session
from prometheus_client import REGISTRY

from tidewire.auth.ticket import COOKIE


def missing() -> float:
    return REGISTRY.get_sample_value("tidewire_sessions_missing_total") or 0.0


@pytest.fixture
def page(client: Any, ada: Any) -> Any:
    """Return the response to one more page of a user with a ticket, or of a browser with other cookies."""
    client.force_login(ada)
    client.get("/")
    assert COOKIE in client.cookies
    return lambda: client.get("/")


@pytest.mark.django_db
def test_page_of_a_user_whose_session_was_deleted_is_counted_once(page):
    before = missing()
    page()
    assert missing() == before
    Session.objects.all().delete()
    assert page().status_code == 302
    assert missing() == before + 1
    page()
    assert missing() == before + 1


@pytest.mark.django_db
def test_logout_and_visitors_are_not_counted(page, client):
    before = missing()
    client.post("/logout/")
    page()
    client.cookies.clear()
    page()
    assert missing() == before


@pytest.mark.django_db
def test_ticket_of_another_session_is_not_counted(page, client):
    before = missing()
    client.cookies["sessionid"] = "unknown"
    page()
    assert missing() == before
