"""The documentation's site, after `make docs` has built it: readable on each screen, without other sites."""

import functools
import http.server
import threading

import pytest
from axe_playwright_python.sync_playwright import Axe

from deploy.local.layout import ROOT

SITE = ROOT / "var" / "docs" / "html"
SCREENS = {"phone": {"width": 360, "height": 740}, "desktop": {"width": 1280, "height": 900}}
PAGES = ("index.html", "start.html", "library.html", "events.html", "close-codes.html", "settings.html", "search.html")
# A page with code and a picture, one with a table, one with a form: axe needs seconds for each.
LOOKED_AT = ("start.html", "close-codes.html", "search.html")
SERIOUS = {"serious", "critical"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="module")
def site():
    if not (SITE / "index.html").exists():
        pytest.skip("needs the site: `make docs` builds it")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture(params=SCREENS)
def page(request, chromium, scheme):
    context = chromium.new_context(viewport=SCREENS[request.param], color_scheme=scheme)
    yield context.new_page()
    context.close()


def test_pages_are_accessible_and_fit_the_screen(page, site):
    for name in LOOKED_AT:
        page.goto(f"{site}/{name}")
        violations = Axe().run(page).response["violations"]
        assert [each["id"] for each in violations if each["impact"] in SERIOUS] == [], name
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name


def test_nothing_is_loaded_from_another_host(chromium, site):
    page = chromium.new_page()
    asked, failed = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda response: response.status >= 400 and failed.append(response.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    for name in PAGES:
        page.goto(f"{site}/{name}")
    assert [url for url in asked if not url.startswith((site, "data:"))] == []
    assert failed == []
    page.close()


def test_search_finds_a_page(chromium, site):
    page = chromium.new_page()
    page.goto(f"{site}/search.html?q=outbox")
    page.locator("#search-results li a").first.wait_for()
    page.close()


def test_the_index_for_programs_links_to_pages_that_exist(site):
    index = (SITE / "llms.txt").read_text(encoding="utf-8")
    links = [part.partition(")")[0] for part in index.split("](")[1:]]
    assert len(links) > 20
    assert [link for link in links if not (SITE / link).exists()] == []
    assert site
