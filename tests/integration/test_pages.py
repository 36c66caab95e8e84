"""Pages through nginx and Gunicorn, and the paths that the public cannot reach."""

import re

import pytest

from tests.http_client import fetch, metric, submit

HASHED = re.compile(r'(/static/[^"]+\.[0-9a-f]{12}\.(?:css|js))"')


def test_a_visitor_is_sent_to_log_in(stack):
    page = fetch(f"{stack.url}/")
    assert page.status == 302
    assert page.headers["Location"].startswith("/login/")


def test_a_logged_in_user_sees_the_documents(stack, cookies):
    page = fetch(f"{stack.url}/", headers={"Cookie": cookies["ada"]})
    assert page.status == 200
    assert "ada" in page.text


def test_a_user_logs_in_through_the_page(stack):
    cookie = stack.login("bob")
    assert fetch(f"{stack.url}/people/", headers={"Cookie": cookie}).status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "//metrics", "/x/../metrics", "/%6detrics"])
def test_health_and_metrics_are_not_for_the_public(stack, path):
    """The test includes other spellings of the paths, because nginx matches the normalised path."""
    assert fetch(f"{stack.url}{path}").status == 404


def test_a_probe_asks_nginx_and_web_and_the_database_at_once(stack):
    page = fetch(f"{stack.url}/ready", headers={"Host": "nginx:8080"})
    assert (page.status, page.text) == (200, "ready\n")
    assert page.headers["Cache-Control"].startswith("max-age=0, no-cache")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_web_serves_health_and_metrics_itself(stack, path):
    assert fetch(f"{stack.web_urls[0]}{path}").status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_ws_serves_health_and_metrics_on_its_admin_port_alone(stack, path):
    node = stack.ws[0]
    assert fetch(f"http://127.0.0.1:{node.admin_port}{path}").status == 200
    assert fetch(f"http://127.0.0.1:{node.port}{path}").status == 404


def test_the_web_metrics_speak_for_all_processes(stack, cookies):
    """Two Gunicorn processes respond in turn. A scrape of only one would sometimes show a decreasing counter."""

    def requests():
        return metric(fetch(f"{stack.web_urls[0]}/metrics").text, "tidewire_requests_total", view="people")

    before = requests()
    for _ in range(20):
        assert fetch(f"{stack.url}/people/", headers={"Cookie": cookies["ada"]}).status == 200
    assert requests() == before + 20


def test_static_files_have_hashed_names_and_are_kept_for_a_year(stack):
    matches = HASHED.findall(fetch(f"{stack.url}/login/").text)
    assert matches
    for path in matches:
        file = fetch(f"{stack.url}{path}")
        assert file.status == 200
        assert file.headers.get_all("Cache-Control") == ["public, max-age=31536000, immutable"]


def test_scripts_import_each_other_by_hashed_names(stack, cookies):
    """Otherwise a browser could run a new page with an old module."""
    page = fetch(f"{stack.url}/", headers={"Cookie": cookies["ada"]})
    scripts = [path for path in HASHED.findall(page.text) if path.endswith(".js")]
    assert scripts
    for path in scripts:
        text = fetch(f"{stack.url}{path}").text
        imported = re.findall(r'(?:from|import)\s*\(?["\'](\.[^"\']+)["\']', text)
        assert [name for name in imported if not re.search(r"\.[0-9a-f]{12}\.js$", name)] == []


def test_a_static_file_under_its_plain_name_is_asked_for_again(stack):
    assert fetch(f"{stack.url}/static/tidewire/client.js").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/login/", "/static/tidewire/client.js", "/no-such-page/", "/healthz"])
def test_every_answer_carries_the_security_headers_once(stack, path):
    headers = fetch(f"{stack.url}{path}").headers
    for name in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Permissions-Policy"):
        assert len(headers.get_all(name, [])) == 1, name
    assert headers["Server"] == "nginx"


@pytest.mark.parametrize("path", ["/login/", "/no-such-page/"])
def test_a_pages_policy_is_its_own(stack, path):
    """The policy must be as Gunicorn sent it: nginx must neither repeat nor replace it."""
    passed = fetch(f"{stack.url}{path}").headers.get_all("Content-Security-Policy")
    assert passed == fetch(f"{stack.web_urls[0]}{path}").headers.get_all("Content-Security-Policy")
    assert "default-src 'self'" in passed[0]


@pytest.mark.parametrize("path", ["/static/tidewire/client.js", "/static/no-such-file.js", "/healthz", "/ws/users/"])
def test_what_is_no_page_may_load_nothing(stack, path):
    """Static files, nginx's own responses, and a node's responses over plain HTTP."""
    policy = fetch(f"{stack.url}{path}").headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy)


def test_a_page_that_is_not_there_is_a_page(stack):
    page = fetch(f"{stack.url}/no-such-page/")
    assert page.status == 404
    assert "<html" in page.text


def test_a_host_that_is_not_ours_is_refused(stack):
    assert fetch(f"{stack.url}/login/", headers={"Host": "evil.example"}).status == 400


def test_a_form_without_a_token_is_refused(stack, cookies):
    page = fetch(f"{stack.url}/new/", fields={"title": "T", "body": "B"}, headers={"Cookie": cookies["ada"]})
    assert page.status == 403


def test_a_form_posted_from_another_site_is_refused(stack, cookies):
    fields = {"title": "T", "body": "B"}
    page = submit(f"{stack.url}/new/", cookies["ada"], fields, headers={"Origin": "https://evil.example"})
    assert page.status == 403


def test_a_document_too_large_is_refused_without_being_read(stack, cookies):
    page = fetch(f"{stack.url}/new/", fields={"body": "x" * 3_000_000}, headers={"Cookie": cookies["ada"]})
    assert page.status == 413


def test_the_longest_document_is_taken(stack, cookies):
    """100,000 characters of four bytes each have a size of 1.2 MB when form-encoded."""
    page = submit(f"{stack.url}/new/", cookies["ada"], {"title": "Longest", "body": "\N{WATER WAVE}" * 100_000})
    assert page.status == 302, page.text[:2000]
