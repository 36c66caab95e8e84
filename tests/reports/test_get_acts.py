"""A GET changes nothing, neither a HEAD request nor a page that the browser loads ahead."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, get_resolver, reverse
from playwright.sync_api import expect

from dashboard import actions, operations
from tests.http_client import fetch
from tests.unit.dashboard.conftest import published, user
from tests.unit.dashboard.node_reports import FakeReports, report

__all__ = ["published", "user"]


def started(person, title):
    """Return how many notifications of an edit the list shows, after one that must be later."""
    person.write(f"After {title}")
    person.goto("/notifications/")
    expect(person.find("[data-events] li").first).to_contain_text(f"After {title}")
    return person.find("[data-events] li").filter(has_text=re.compile(f"started editing {title}")).count()


@pytest.mark.parametrize("purpose", ["HEAD", "prefetch", "prefetch;prerender"])
def test_a_request_for_the_editing_page_tells_nobody(ada, cookies, stack, purpose):
    """My browser prefetched the page, and all users were notified that I edit it."""
    title = f"Asked for by {purpose}"
    slug = ada.write(title)
    url, cookie = f"{stack.url}/documents/{slug}/edit/", cookies(stack, "bob")
    if purpose == "HEAD":
        assert head(url, cookie) == 200
    else:
        page = fetch(url, headers={"Cookie": cookie, "Sec-Purpose": purpose, "Purpose": "prefetch"})
        assert page.status == 200
    assert started(ada, title) == 0


def head(url, cookie):
    import urllib.request  # noqa: PLC0415 - only here

    request = urllib.request.Request(url, headers={"Cookie": cookie}, method="HEAD")  # noqa: S310 - the tests' own
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
        return response.status


SPECULATE = """(url) => {
  const rules = document.createElement("script");
  rules.type = "speculationrules";
  rules.textContent = JSON.stringify({ prerender: [{ source: "list", urls: [url] }] });
  document.head.append(rules);
}"""


def test_a_prerendered_editing_page_tells_nobody_until_it_is_shown(seat, stack):
    """I had not opened the page, and the list showed me as editing, with the edit lease."""
    ada = seat(stack, "ada")
    # Lets the test add its rules; the pages forbid inline scripts.
    bob = seat(stack, "bob", bypass_csp=True)
    slug = ada.write("Prerendered")
    bob.goto("/")
    requested = []
    bob.page.context.on("request", lambda request: requested.append(request.url))
    path = f"/documents/{slug}/edit/"
    bob.page.evaluate(SPECULATE, path)
    for _ in range(40):
        if any(url.endswith(path) for url in requested):
            break
        bob.page.wait_for_timeout(50)
    assert started(ada, "Prerendered") == 0
    ada.goto("/")
    expect(ada.badge(slug)).to_have_attribute("data-phase", "free")

    # The notification follows as soon as the page is shown.
    bob.goto(path)
    expect(ada.badge(slug)).to_contain_text("bob is editing")
    expect(ada.toast("bob started editing Prerendered")).to_be_visible()


def test_an_editing_page_that_is_shown_tells_it_once(ada, bob):
    """Two tabs and a reload cause one notification."""
    slug = ada.write("Shown")
    ada.goto("/notifications/")
    for _ in range(2):
        bob.goto(f"/documents/{slug}/edit/")
    rows = ada.find("[data-events] li").filter(has_text="started editing Shown")
    expect(rows).to_have_count(1)
    assert started(ada, "Shown") == 1


# Statements that do not write: those that only read, and those around a transaction.
READS = ("SELECT", "SAVEPOINT", "RELEASE SAVEPOINT", "BEGIN")


def addresses(document):
    """Return every address of the pages and of the admin, with arguments."""
    arguments = {"slug": document.slug, "pk": 1, "node": "ws-0", "object_id": document.pk, "app_label": "dashboard"}

    def walk(patterns, prefix):
        for each in patterns:
            if isinstance(each, URLPattern):
                if each.name:
                    names = list(each.pattern.converters) or list(
                        getattr(each.pattern, "regex", re.compile("")).groupindex
                    )
                    values = {name: arguments.get(name, 1) for name in names}
                    yield reverse(f"{prefix}{each.name}", kwargs=values)
            else:
                yield from walk(each.url_patterns, f"{prefix}{each.namespace}:" if each.namespace else prefix)

    return [*walk(get_resolver().url_patterns, ""), "/healthz", "/readyz", "/ready", "/metrics"]


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.django_db
def test_no_get_writes(client, user, published, monkeypatch, settings, method):  # noqa: PLR0917 - fixtures
    """No address changes the database or the outbox, for staff or for any other user."""
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    settings.SIGNUP = True
    reports = FakeReports(report("ws-0", "aaaa"), report("ws-1", "bbbb"))
    monkeypatch.setattr(operations, "report_store", lambda: reports)
    plan = actions.create_document(user("author"), title="Plan", body="one")
    people = [None, user("reader"), user("root", is_staff=True, is_superuser=True)]
    for person in people:
        if person:
            actions.mark_read(person, 0)
            client.force_login(person)
        sent = list(published)
        for url in addresses(plan):
            with CaptureQueriesContext(connection) as queries:
                answer = getattr(client, method)(url, {"up_to": 1, "title": "x", "version": 1})
            assert answer.status_code in {200, 302, 403, 404}, (url, answer.status_code)
            assert [each["sql"] for each in queries if not each["sql"].startswith(READS)] == [], url
        assert published == sent
        assert reports.commands == {}
