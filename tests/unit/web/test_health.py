"""The URLs that probes request."""

import pytest
from django.db import DatabaseError, connection


def test_alive_without_anything(client):
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/readyz", "/ready"])
@pytest.mark.django_db
def test_ready_with_a_database(client, path):
    assert client.get(path).text == "ready\n"


@pytest.mark.parametrize("path", ["/readyz", "/ready"])
def test_not_ready_without_one(client, monkeypatch, path):
    def refuse():
        raise DatabaseError("password=secret")

    monkeypatch.setattr(connection, "cursor", refuse)
    response = client.get(path)
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
    assert client.get("/ready", headers={"Host": "nginx:8080"}).status_code == 200
    assert client.get("/login/", headers={"Host": "10.1.2.3:8000"}).status_code == 400


@pytest.mark.django_db
def test_a_probe_through_nginx_is_not_sent_to_https(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/ready").status_code == 200
    assert client.get("/login/").status_code == 301
