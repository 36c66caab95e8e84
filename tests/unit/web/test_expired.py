"""A form with a token from before a login is refused, and can be sent again with one click."""

import html
import re

import pytest
from django.test import Client

from dashboard.models import Document

ORIGIN = {"HTTP_ORIGIN": "http://testserver"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def strict(ada, published):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    client.get("/new/")
    return client


def again(page):
    """Return the fields of the page that sends the form again."""
    fields = re.findall(r'<textarea name="(\w+)" hidden>\n(.*?)</textarea>', page.text, re.DOTALL)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    return {name: html.unescape(value) for name, value in fields} | {"csrfmiddlewaretoken": token}


def test_nothing_is_carried_out_until_the_second_click(strict):
    text = {"title": "A <b>title</b>", "body": "\n</textarea><b>one</b>\n"}
    page = strict.post("/new/", text | {"csrfmiddlewaretoken": "x" * 64}, **ORIGIN)
    assert page.status_code == 403
    assert "Send it again?" in page.text
    assert "<b>one</b>" not in page.text
    assert not Document.objects.exists()
    answer = strict.post("/new/", again(page), **ORIGIN)
    assert answer.status_code == 302
    document = Document.objects.get()
    assert (document.title, document.body) == (text["title"], text["body"])


@pytest.mark.parametrize("headers", [{}, {"HTTP_ORIGIN": "https://evil.example"}, {"HTTP_ORIGIN": "null"}])
def test_another_site_gets_no_page_to_send_again(strict, headers):
    page = strict.post("/new/", {"title": "x", "body": "x"}, **headers)
    assert page.status_code == 403
    assert "Send it again" not in page.text
    assert not Document.objects.exists()


def test_a_visitor_is_asked_to_log_in_and_led_back(ada):
    page = Client(enforce_csrf_checks=True).post("/documents/plan-1/edit/", {"title": "x"}, **ORIGIN)
    assert page.url == "/login/?next=/documents/plan-1/edit/"


def test_a_second_click_on_log_in_leads_on(strict):
    fields = {"username": "ada", "password": "demo", "next": "/people/"}
    assert strict.post("/login/", fields, **ORIGIN).url == "/people/"
    assert strict.post("/login/", fields | {"next": "https://evil.example/"}, **ORIGIN).url == "/"


def test_no_password_is_sent_back_in_a_page(ada, published):
    client = Client(enforce_csrf_checks=True)
    page = client.post("/login/?next=/people/", {"username": "ada", "password": "demo"}, **ORIGIN)
    assert page.url == "/login/?next=/people/"
    assert "Please fill in the form again" in client.get(page.url).text
