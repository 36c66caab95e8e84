"""The headers and cookies of pages, and the permissions to see them."""

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

PUBLIC = {"login", "logout", "signup"}
POLICY = {
    "default-src 'self'",
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
}
ARGUMENTS = {"slug": "plan-1", "pk": 1, "node": "ws-0"}


def views() -> list[URLPattern]:
    """Return every named page except those of the admin, which requires staff itself."""
    return [each for each in get_resolver().url_patterns if isinstance(each, URLPattern) and each.name]


def url(view: URLPattern) -> str:
    return reverse(view.name, kwargs={name: ARGUMENTS[name] for name in view.pattern.converters or named(view)})


def named(view: URLPattern) -> list[str]:
    regex = getattr(view.pattern, "regex", None)
    return list(regex.groupindex) if regex else []


@pytest.mark.parametrize("view", views(), ids=lambda view: view.name)
@pytest.mark.parametrize("method", ["get", "post"])
def test_every_page_but_the_doors_wants_a_login(client, plan, view, method):
    """A new view that does not require a login must fail here."""
    if view.name in PUBLIC:
        return
    page = getattr(client, method)(url(view))
    assert page.status_code == 302
    assert page.url.startswith("/login/?next=")


@pytest.mark.parametrize("view", views(), ids=lambda view: view.name)
def test_every_form_wants_its_token(plan, ada, settings, view):
    """The page of another site must not be able to act with a user's cookies."""
    settings.SIGNUP = True
    client = Client(enforce_csrf_checks=True)
    if view.name not in PUBLIC:
        client.force_login(ada)
    assert client.post(url(view), {"title": "x", "version": 1}).status_code in {403, 405}


@pytest.mark.parametrize("path", ["/", "/login/", "/documents/plan-1/", "/no/such/page/", "/admin/"])
def test_every_answer_has_the_policy_and_the_headers(as_user, staff, plan, path):
    """Errors and the admin too. No directive may allow inline scripts or styles."""
    page = as_user(staff).get(path)
    assert set(page.headers["Content-Security-Policy"].split("; ")) == POLICY
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(client, ada, published):
    client.get("/login/")
    client.post("/login/", {"username": "ada", "password": "demo"})
    client.get("/")
    assert set(client.cookies) == {"csrftoken", "sessionid", "tidewire_ticket", "tidewire_device"}
    for cookie in client.cookies.values():
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"


@pytest.mark.parametrize(("who", "deletes"), [("author", True), ("other", False), ("staff", True)])
def test_everybody_edits_and_the_author_and_staff_delete(as_user, user, plan, who, deletes):
    """Both by the page and by its form."""
    client = as_user(plan.author if who == "author" else user(who, is_staff=who == "staff"))
    assert client.get(f"/documents/{plan.slug}/edit/").status_code == 200
    change = {"title": "Plan", "body": "new", "version": plan.version}
    assert client.post(f"/documents/{plan.slug}/edit/", change).status_code == 302
    assert client.get(f"/documents/{plan.slug}/delete/").status_code == (200 if deletes else 403)
    assert client.post(f"/documents/{plan.slug}/delete/").status_code == (302 if deletes else 403)
    assert client.get(f"/documents/{plan.slug}/").status_code == (404 if deletes else 200)


def test_the_admin_is_for_staff_and_where_the_environment_says(as_user, ada, settings):
    """Only by its name, because no other code may contain the path."""
    assert reverse("admin:index") == f"/{settings.ADMIN_PATH}"
    assert [each for each in get_resolver().url_patterns if isinstance(each, URLResolver)]
    page = as_user(ada).get("/admin/", follow=True)
    assert "Log out first" in page.text
