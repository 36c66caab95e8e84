"""Headers for a success never appear on a failure, and during a roll-out the files of both releases are served."""

import contextlib
import dataclasses
import http.client
import json
import shutil

import pytest

from deploy.local.layout import Layout, Ports
from tests.http_client import fetch
from tests.integration.deploy.test_nginx import echo, proxy
from tests.stack import NO_LIMITS, ONE_WORKER
from web.publish_static import publish

pytestmark = pytest.mark.integration

HASHED = "web/tidewire.0123456789ab.css"
KEPT = "public, max-age=31536000, immutable"


@pytest.fixture
def layout(tmp_path):
    layout = Layout(ports=Ports.free(web=2, ws=1), var=tmp_path)
    (layout.static / "web").mkdir(parents=True)
    (layout.static / HASHED).write_text("body { color: red }\n" * 40)
    (layout.static / "web/plain.css").write_text("body {}\n")
    return layout


@pytest.fixture
def site(layout):
    """Nginx in front of web processes that have no static files and respond with 404."""
    with echo(layout.ports.web[0], status=404), echo(layout.ports.web[1], status=404), proxy(layout) as url:
        yield url


def ask(url: str, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None):
    """Send one request with any method, and return status and headers."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        response.read()
        return response.status, response.headers


FAILURES = {
    "a hashed file that is not there": ("GET", "/static/web/gone.0123456789ab.css", {}, 404),
    "a hashed file that is not there, HEAD": ("HEAD", "/static/web/gone.0123456789ab.js", {}, 404),
    "a file that is not there": ("GET", "/static/web/gone.css", {}, 404),
    "a directory with the name of a hashed file": ("GET", "/static/web/dir.0123456789ab.css/", {}, 403),
    "the redirect to such a directory": ("GET", "/static/web/dir.0123456789ab.css", {}, 301),
    "a directory": ("GET", "/static/web/", {}, 403),
    "the redirect to a directory": ("GET", "/static/web", {}, 301),
    "a method that files do not have": ("POST", f"/static/{HASHED}", {}, 405),
    "a condition that fails": ("GET", f"/static/{HASHED}", {"If-Match": '"other"'}, 412),
    "a file that nginx may not read": ("GET", "/static/web/loop.0123456789ab.css", {}, 403),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_no_failure_of_a_static_file_may_be_kept(site, layout, failure):
    """After a deploy the page stayed broken in my browser, even after a reload: the browser kept a 404 for a year."""
    (layout.static / "web/dir.0123456789ab.css").mkdir()
    loop = layout.static / "web/loop.0123456789ab.css"
    loop.symlink_to(loop)
    method, path, headers, expected = FAILURES[failure]
    status, answer = ask(site, method, path, headers)
    assert (status, answer.get_all("Cache-Control")) == (expected, ["no-store"])


@pytest.mark.parametrize(
    "headers", [{}, {"Range": "bytes=0-9"}, {"Range": "bytes=90000-"}, {"Accept-Encoding": "gzip"}]
)
def test_a_hashed_file_is_kept(site, headers):
    """A file with a hash in its name is loaded once and not with each page, whatever range is requested."""
    status, answer = ask(site, "GET", f"/static/{HASHED}", headers)
    assert (status, answer.get_all("Cache-Control")) == (200, [KEPT])


def test_a_file_that_has_not_changed_is_kept(site):
    """The response to a conditional request must have the same header."""
    _, first = ask(site, "GET", f"/static/{HASHED}")
    status, second = ask(site, "GET", f"/static/{HASHED}", {"If-None-Match": first["ETag"]})
    assert (status, second.get_all("Cache-Control")) == (304, [KEPT])
    status, second = ask(site, "GET", "/static/web/plain.css")
    assert (status, second.get_all("Cache-Control")) == (200, ["no-cache"])


def test_a_redirect_of_nginx_names_no_host_of_its_own(site):
    """Behind TLS, the redirect to /static/web/ led to http:// and to nginx's internal port."""
    _, answer = ask(site, "GET", "/static/web")
    assert answer["Location"] == "/static/web/"


NGINX_FAILS = {
    "nothing behind it answers": ("GET", "/", {}, 502),
    "a body that is too long": ("POST", "/", {"Content-Length": "99999999"}, 413),
    "a login that is too long": ("POST", "/login/", {"Content-Length": "9999"}, 413),
    "a path with a line feed": ("GET", "/documents/%0a/", {}, 502),
    "a method that files do not have": ("POST", f"/static/{HASHED}", {"Content-Length": "0"}, 405),
    "a method that other files do not have": ("PUT", "/static/web/plain.css", {"Content-Length": "0"}, 405),
    "a condition that fails": ("GET", f"/static/{HASHED}", {"If-Match": '"other"'}, 412),
    "a body that a file does not take": ("GET", f"/static/{HASHED}", {"Content-Length": "99999999"}, 413),
    "a directory": ("GET", "/static/web/", {}, 403),
    "a file that is not there": ("GET", "/static/web/gone.css", {}, 404),
    "a hashed file that no process could give": ("GET", "/static/web/gone.0123456789ab.css", {}, 502),
    "an address for probes": ("GET", "/metrics", {}, 404),
}


@pytest.mark.parametrize("failure", NGINX_FAILS)
def test_an_error_of_nginx_is_a_page_in_words_that_is_not_kept(layout, failure):
    """I saw only "502 Bad Gateway", and Back showed it again."""
    method, path, headers, expected = NGINX_FAILS[failure]
    with proxy(layout) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
        with contextlib.closing(connection):
            connection.putrequest(method, path)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            text = response.read().decode()
    assert (response.status, response.headers.get_all("Cache-Control")) == (expected, ["no-store"])
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert '<html lang="en">' in text
    assert "nginx" not in text
    assert response.headers["X-Request-ID"] in text
    assert f"Error {expected}" in text


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/", {"Cookie": "a" * 40_000}, 400),
        (f"/{'a' * 40_000}", {}, 414),
    ],
)
def test_an_error_without_a_page_of_its_own_is_not_kept(layout, path, headers, expected):
    """Requests that nginx cannot parse get the same header."""
    with proxy(layout) as url:
        status, answer = ask(url, "GET", path, headers)
    assert (status, answer.get_all("Cache-Control")) == (expected, ["no-store"])


def test_too_many_requests_are_refused_in_words(layout):
    """The page showed only "429 Too Many Requests", without a remedy."""
    limits = NO_LIMITS | {"TIDEWIRE_LOGIN_RATE": "1r/m"}
    with echo(layout.ports.web[0]), echo(layout.ports.web[1]), proxy(layout, limits) as url:
        last = [fetch(f"{url}/login/", fields={"username": "ada"}) for _ in range(22)][-1]
    assert last.status == 429
    assert "wait a few seconds" in last.text
    assert last.headers.get_all("Cache-Control") == ["no-store"]


def test_an_error_of_the_application_keeps_its_own_header(layout):
    """Nginx must neither duplicate nor replace a page's own header for caching."""
    with echo(layout.ports.web[0], status=404, cache_control="private"), proxy(layout) as url:
        assert fetch(f"{url}/").headers.get_all("Cache-Control") == ["private"]


@pytest.fixture(scope="module")
def two_releases(stack_factory):
    """A stack whose web-0 and web-2 have the files of the old release and web-1 those of the new; release -> files."""
    stack = stack_factory(web=3, ws=1, **ONE_WORKER)
    old, new = stack.layout.var / "old", stack.layout.var / "new"
    shutil.copytree(stack.layout.static, old)
    shutil.copytree(stack.layout.static, new)
    manifest = json.loads((new / "staticfiles.json").read_text())
    before = manifest["paths"]["web/tidewire.css"]
    manifest["paths"]["web/tidewire.css"] = HASHED
    (new / "staticfiles.json").write_text(json.dumps(manifest))
    (new / before).rename(new / HASHED)
    for name, files in (("web-0", old), ("web-1", new), ("web-2", old)):
        running = stack.processes[name]
        environment = {**running.definition.environment, "TIDEWIRE_STATIC_ROOT": str(files)}
        running.definition = dataclasses.replace(running.definition, environment=environment)
    with stack:
        yield stack, {"web-0": before, "web-1": HASHED}, {"old": old, "new": new}


@pytest.fixture(params=["old", "new"])
def nginx_has(request, two_releases):
    """The release whose files nginx has."""
    stack, _, files = two_releases
    # nginx opens a file again for each request.
    static = stack.layout.var / "static"
    static.rename(files["old"].with_name(f"static-before-{request.param}"))
    static.symlink_to(files[request.param])
    return request.param


@pytest.mark.usefixtures("nginx_has")
def test_a_page_of_either_release_finds_its_files_at_either_nginx(two_releases):
    """During the roll-out the page had no style and no script, in whatever order the parts were replaced."""
    stack, styles, _ = two_releases
    for web, style in styles.items():
        page = fetch(f"{stack.web_urls[int(web[-1])]}/login/", headers={"Host": "localhost"})
        assert f"/static/{style}" in page.text
        for _ in range(6):
            file = fetch(f"{stack.url}/static/{style}")
            assert (file.status, file.headers.get_all("Cache-Control")) == (200, [KEPT])
            assert file.headers["Content-Type"].startswith("text/css")
            assert file.headers.get_all("Set-Cookie") is None
            assert "Cookie" not in file.headers.get("Vary", "")
    missing = fetch(f"{stack.url}/static/web/tidewire.ffffffffffff.css")
    assert (missing.status, missing.headers.get_all("Cache-Control")) == (404, ["no-store"])


def test_a_web_process_serves_nothing_but_hashed_files(two_releases):
    """The fallback must not serve the service's own files."""
    stack, _, files = two_releases
    (files["old"].parent / "secret.0123456789ab.txt").write_text("secret")
    for path in (
        "/static/staticfiles.json",
        "/static/web/../../secret.0123456789ab.txt",
        "/static/..%2fsecret.0123456789ab.txt",
        "/static/%00.0123456789ab.css",
        f"/static/{'a' * 300}.0123456789ab.css",
    ):
        status, answer = ask(stack.web_urls[0], "GET", path, {"Host": "localhost"})
        assert status in {400, 404}, path
        assert "secret" not in str(answer)


def release(directory, files):
    """Write the static files of one release as collectstatic does."""
    directory.mkdir()
    for name in files:
        (directory / name).write_text(name)
    (directory / "staticfiles.json").write_text(json.dumps({"paths": {name[:1]: name for name in files}}))
    return directory


def test_a_release_keeps_the_files_of_the_one_before_and_no_others(tmp_path):
    """A page that was open during the deploy lost its style. A volume that keeps every release would fill the disk."""
    target = tmp_path / "served"
    releases = [
        release(tmp_path / str(number), [f"a.{number}23456789012.js", "b.aaaaaaaaaaaa.css"]) for number in (1, 2, 3)
    ]

    def served():
        return sorted(path.name for path in target.iterdir() if path.name != "staticfiles.json")

    publish(releases[0], target)
    publish(releases[1], target)
    assert served() == ["a.123456789012.js", "a.223456789012.js", "b.aaaaaaaaaaaa.css"]
    # A restart of the same release must not count as a release.
    publish(releases[1], target)
    assert served() == ["a.123456789012.js", "a.223456789012.js", "b.aaaaaaaaaaaa.css"]
    publish(releases[2], target)
    assert served() == ["a.223456789012.js", "a.323456789012.js", "b.aaaaaaaaaaaa.css"]
