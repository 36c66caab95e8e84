"""The URLs that probes request."""

import pytest
from django.db import DatabaseError, connection


def test_alive_without_anything(client):
    assert client.get("/healthz").status_code == 200


@pytest.mark.django_db
def test_ready_with_a_database(client):
    assert client.get("/readyz").text == "ready\n"


def test_not_ready_without_one(client, monkeypatch):
    def refuse():
        raise DatabaseError("password=secret")

    monkeypatch.setattr(connection, "cursor", refuse)
    response = client.get("/readyz")
    assert (response.status_code, response.text) == (503, "database: DatabaseError\n")


@pytest.mark.django_db
def test_metrics_are_prometheus_text(client):
    response = client.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain")
    assert "# HELP tidewire_" in response.text


@pytest.mark.django_db
def test_probes_may_ask_by_address_and_pages_may_not(client, settings):
    settings.ALLOWED_HOSTS = [".example.com"]
    assert client.get("/readyz", headers={"Host": "10.1.2.3:8000"}).status_code == 200
    assert client.get("/login/", headers={"Host": "10.1.2.3:8000"}).status_code == 400
