"""Load users: when they may be created, how they read pages, and which processes belong to a service."""

import pytest

from loadtest.browser import Page, PageError
from loadtest.people import password, refusal, username
from loadtest.services import service_of

EDIT_PAGE = """<body data-user="ada" data-position="5f:12" data-newest-notification="57">
<input type="hidden" name="csrfmiddlewaretoken" value="a&amp;b"><input name="version" type="hidden" value="3">
<textarea name="body" rows="18">
first
&lt;second&gt;</textarea>"""


@pytest.mark.parametrize(
    ("environment", "in_production", "has_password", "allowed"),
    [
        ("development", False, False, True),
        ("production", False, True, False),
        ("production", True, False, False),
        ("production", True, True, True),
    ],
)
def test_production_wants_to_be_asked_and_a_password(environment, in_production, has_password, allowed):
    reason = refusal(environment=environment, in_production=in_production, has_password=has_password)
    assert (reason is None) is allowed


def test_password_comes_from_a_file_as_containers_are_given_secrets(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("tide\n")
    monkeypatch.setenv("LOADTEST_PASSWORD_FILE", str(tmp_path / "secret"))
    assert password() == "tide"


def test_names_of_load_users_sort():
    assert username(7) == "load-00007"


def test_page_says_where_its_sockets_start_and_what_its_form_holds():
    page = Page("/documents/plan/edit/", EDIT_PAGE)
    assert (page.position, page.newest_notification) == ("5f:12", "57")
    assert [page.field(name) for name in ("csrfmiddlewaretoken", "version", "body")] == ["a&b", "3", "first\n<second>"]
    with pytest.raises(PageError, match="/documents/plan/edit/ has no field colour"):
        page.field("colour")


@pytest.mark.parametrize(
    ("command", "service"),
    [
        ("python -m tidewire ws.asgi:application -b 127.0.0.1 -p 18201", "ws:18201"),
        ("python -m gunicorn -c gunicorn.conf.py web.wsgi:application", "web"),
        ("nginx: worker process", "nginx"),
        ("redis-server 127.0.0.1:18379", "redis"),
        ("python -m locust -f locustfile.py", ""),
    ],
)
def test_services_are_known_by_their_command(command, service):
    assert service_of(command.split()) == service
