"""PostgreSQL hangs: its processes are stopped, and the kernel accepts connections and data for them."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.http_client import fetch, metric
from tests.postgres import Postgres, why_not
from tests.stack import ONE_WORKER, PREPARE_SECONDS

# The limits of the stack, and one more for a busy machine. nginx would answer with 504 after 30 s.
CONNECT_SECONDS, STATEMENT_SECONDS = 2, 2
MARGIN_SECONDS = 1
BUSY_SECONDS = 8
PAGES = 20
NOTICED_SECONDS = 60
RECOVERED_SECONDS = 60


@pytest.fixture(scope="module")
def database():
    if reason := why_not():
        pytest.skip(reason)
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def stack(stack_factory, database):
    stack = stack_factory(
        **ONE_WORKER,
        TIDEWIRE_DATABASE_URL=database.url,
        TIDEWIRE_DATABASE_CONNECT_SECONDS=str(CONNECT_SECONDS),
        TIDEWIRE_DATABASE_STATEMENT_SECONDS=str(STATEMENT_SECONDS),
    )
    stack.run("-m", "deploy.local.prepare", timeout_seconds=PREPARE_SECONDS)
    with stack:
        yield stack


def timed(url, **options):
    began = time.monotonic()
    return fetch(url, timeout_seconds=60, **options), time.monotonic() - began


@pytest.fixture(scope="module")
def seen(stack, database):
    """The responses, and the seconds that each took, while the database hangs."""
    cookie = {"Cookie": stack.cookies["ada"]}
    [web] = stack.web_urls
    relay = stack.processes["relay"].definition.ready
    # Each thread of the process opens a connection, which is in use when the database hangs.
    with ThreadPoolExecutor(PAGES) as pool:
        list(pool.map(lambda _: fetch(f"{stack.url}/", headers=cookie), range(PAGES)))
        with database.frozen():
            pages = [pool.submit(timed, f"{stack.url}/", headers=cookie) for _ in range(PAGES)]
            time.sleep(0.5)
            early = {name: timed(f"{web}/{name}") for name in ("metrics", "healthz")}
            all_pages = [page.result() for page in pages]
            late = {name: timed(f"{web}/{name}") for name in ("metrics", "healthz", "readyz")}
            admin = f"http://127.0.0.1:{stack.ws[0].admin_port}"
            others = [timed(f"{admin}/healthz"), timed(f"{admin}/metrics"), timed(relay)]
            until = time.monotonic() + NOTICED_SECONDS
            while "relay waits" not in stack.log("relay") and time.monotonic() < until:
                time.sleep(0.2)
            relay_noticed = "relay waits" in stack.log("relay")
    until = time.monotonic() + RECOVERED_SECONDS
    while (page := fetch(f"{stack.url}/", headers=cookie)).status != 200 and time.monotonic() < until:
        time.sleep(0.2)
    return {
        "pages": all_pages,
        "early": early,
        "late": late,
        "others": others,
        "relay": relay_noticed,
        "afterwards": page.status,
    }


def test_a_page_says_so_long_before_nginx_gives_up(seen):
    for page, seconds in seen["pages"]:
        assert page.status == 503
        assert int(page.headers["Retry-After"]) > 0
        assert "The database does not answer" in page.text
        assert page.headers["X-Request-ID"] in page.text
        assert seconds < STATEMENT_SECONDS + MARGIN_SECONDS + CONNECT_SECONDS + BUSY_SECONDS


def test_metrics_and_health_of_web_are_answered(seen):
    """At the onset a request may have to wait for a thread; after that, none of them waits for the database."""
    for name, (page, seconds) in seen["early"].items():
        assert page.status == 200, name
        assert seconds < STATEMENT_SECONDS + MARGIN_SECONDS + BUSY_SECONDS, name
    assert {name: page.status for name, (page, _) in seen["late"].items()} == {
        "metrics": 200,
        "healthz": 200,
        "readyz": 503,
    }
    assert seen["late"]["metrics"][1] < BUSY_SECONDS
    assert seen["late"]["healthz"][1] < BUSY_SECONDS


def test_it_is_counted_where_it_fails(seen):
    text = seen["late"]["metrics"][0].text
    assert metric(text, "tidewire_database_errors_total", kind="timeout") >= 1
    assert metric(text, "tidewire_requests_total", status="5xx") >= PAGES


def test_ws_and_the_relay_answer(seen):
    assert [page.status for page, _ in seen["others"]] == [200, 200, 200]
    assert max(seconds for _, seconds in seen["others"]) < BUSY_SECONDS


def test_pages_are_back_after_it(seen):
    assert seen["afterwards"] == 200


def test_the_relay_notices(seen):
    """The relay's poll ends within its limits, with an error that it counts, although no answer ever arrived."""
    assert seen["relay"]
