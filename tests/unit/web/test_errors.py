"""Pages for errors, which need no session, no database and no Redis."""

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client, RequestFactory
from django.views import defaults

from dashboard import live
from web import accounts


def test_404(client):
    page = client.get("/nothing/here/")
    assert page.status_code == 404
    assert "There is nothing here" in page.text


@pytest.mark.django_db
def test_403(as_user, bob, plan):
    page = as_user(bob).get(f"/documents/{plan.slug}/delete/")
    assert page.status_code == 403
    assert "You do not have access" in page.text


@pytest.mark.django_db
def test_500(client, ada, monkeypatch):
    def fail():
        raise RuntimeError("a secret detail")

    client.force_login(ada)
    client.raise_request_exception = False
    monkeypatch.setattr(live, "users", fail)
    page = client.get("/")
    assert page.status_code == 500
    assert "Something broke on our side" in page.text
    assert "secret" not in page.text


def test_400():
    page = defaults.bad_request(RequestFactory().get("/"), ValueError("a secret detail"))
    assert page.status_code == 400
    assert "That request made no sense" in page.text
    assert "secret" not in page.text


@pytest.mark.django_db
def test_a_form_without_its_token_explains_itself(ada):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    page = strict.post("/new/", {"title": "x", "body": "x"})
    assert page.status_code == 403
    assert "This form has expired" in page.text


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("method", ["get", "post"])
def test_503(client, monkeypatch, caplog, error, method):
    """The page needs no database itself, and the log has a line in place of a traceback."""

    def fail(*_arguments, **_options):
        raise error("server db.internal does not answer")

    client.raise_request_exception = False
    monkeypatch.setattr(accounts.SignIn, method, fail)
    page = getattr(client, method)("/login/", headers={"X-Request-ID": "5f2a"})
    assert page.status_code == 503
    assert int(page.headers["Retry-After"]) > 0
    assert page.headers["Cache-Control"] == "no-store"
    assert "The database does not answer" in page.text
    assert "Request 5f2a" in page.text
    assert "db.internal" not in page.text
    [record] = [each for each in caplog.records if each.levelname in ("WARNING", "ERROR")]
    assert "db.internal does not answer" in record.getMessage()
    assert record.exc_info is None


@pytest.mark.django_db
def test_500_tells_the_request(client, monkeypatch):
    def fail(*_arguments, **_options):
        raise RuntimeError("a secret detail")

    client.raise_request_exception = False
    monkeypatch.setattr(accounts.SignIn, "get", fail)
    assert "Request 5f2a" in client.get("/login/", headers={"X-Request-ID": "5f2a"}).text
