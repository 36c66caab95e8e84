"""The page of operations and the confirmation of a drain: only for staff, and only with a token."""

import pytest
from django.test import Client

from dashboard import operations
from tests.unit.dashboard.node_reports import FakeReports, report

PAGE = "/operations/"
DRAIN = "/operations/ws-1/drain/"


@pytest.fixture(autouse=True)
def reports(monkeypatch):
    fake_reports = FakeReports(report("ws-0", "aaaa"), report("ws-1", "bbbb"))
    monkeypatch.setattr(operations, "report_store", lambda: fake_reports)
    return fake_reports


@pytest.mark.parametrize("path", [PAGE, DRAIN])
def test_staff_alone_see_it(client, as_user, ada, staff, path):
    """Other users are refused, and anonymous ones are redirected to the login."""
    assert client.get(path).status_code == 302
    assert as_user(ada).get(path).status_code == 403
    assert as_user(staff).get(path).status_code == 200


def test_the_menu_offers_it_to_staff_alone(as_user, ada, staff):
    assert PAGE not in as_user(ada).get("/").text
    assert PAGE in as_user(staff).get("/").text


def test_the_confirmation_says_what_will_happen(as_user, staff):
    page = as_user(staff).get(DRAIN).text
    assert "closes its 12 within 30 s" in page
    assert "its supervisor then starts it again" in page
    assert "No other node" not in page


def test_it_warns_of_draining_the_last_node(as_user, staff, reports):
    reports.reports = reports.reports[1:]
    assert "No other node is listening" in as_user(staff).get(DRAIN).text


def test_a_look_orders_nothing(as_user, staff, reports):
    as_user(staff).get(DRAIN)
    assert reports.commands == {}


def test_staff_drain_a_node(as_user, staff, reports):
    answer = as_user(staff).post(DRAIN, follow=True)
    assert reports.commands == {"bbbb": "drain"}
    assert answer.redirect_chain == [(PAGE, 302)]
    assert "ws-1 will drain." in answer.text


def test_others_drain_nothing(client, as_user, ada, reports):
    assert client.post(DRAIN).status_code == 302
    assert as_user(ada).post(DRAIN).status_code == 403
    assert reports.commands == {}


def test_a_post_without_a_token_is_refused(staff, reports, published):
    """Another site must not be able to drain a node through a user of staff."""
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(staff)
    assert strict.post(DRAIN).status_code == 403
    assert reports.commands == {}


def test_a_node_that_is_not_there_cannot_be_drained(as_user, staff, reports):
    client = as_user(staff)
    assert "ws-7 is not listening" in client.get("/operations/ws-7/drain/", follow=True).text
    assert "ws-7 is not listening" in client.post("/operations/ws-7/drain/", follow=True).text
    assert reports.commands == {}


def test_without_redis_it_says_so(as_user, staff, reports):
    reports.unavailable = True
    client = as_user(staff)
    assert "Redis does not answer" in client.get(DRAIN).text
    assert "Redis does not answer" in client.post(DRAIN, follow=True).text
