"""docs/use-in-your-project.md, followed to the letter in an empty directory: a venv, the wheel, a live page, a drain.

Only the ports are others, and the Redis, so that tests may run at the same time.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from deploy.local.layout import LOOPBACK, ROOT, free_port
from deploy.release.dist import build
from tests import redis_servers
from tests.http_client import Page, fetch, metric
from tests.newcomer.code_blocks import Reader, clean_environment, read_blocks
from tests.sockets import close_code, event
from tidewire.close_codes import CloseCode

PAGE = ROOT / "docs" / "use-in-your-project.md"
# The sections that a reader carries out, in the order of the page.
SECTIONS = ("Install", "A live page in an empty directory", "Start", "See what you have", "Stop it")
WAIT_SECONDS = 20.0
# The promises of the page.
LOGOUT_SECONDS = 1.0
MINUTES = 10


def why_no_index(directory: Path) -> str:
    """Return why pip cannot download a package here; empty: it can."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "0", "--timeout", "15"),
            *("download", "--quiet", "--no-deps", "--no-cache-dir", "--dest", str(directory), "asgiref"),
        ],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    return f"pip has no package index on this machine: {last}" if done.returncode else ""


class Visitor:
    """A browser without JavaScript."""

    def __init__(self, port: int) -> None:
        self.host = f"{LOOPBACK}:{port}"
        self.cookies: dict[str, str] = {}

    def get(self, path: str) -> Page:
        return self._keep(fetch(f"http://{self.host}{path}", headers={"Cookie": header(self.cookies)}))

    def post(self, path: str, form: str, **fields: str) -> Page:
        """Submit to `path` the form of the page at `form`."""
        token = self.get(form).text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
        url, headers = f"http://{self.host}{path}", {"Cookie": header(self.cookies)}
        return self._keep(fetch(url, fields=fields | {"csrfmiddlewaretoken": token}, headers=headers))

    def socket(self, path: str, cookies: Mapping[str, str]) -> connect:
        origin = f"http://{self.host}"
        return connect(
            f"ws://{self.host}{path}", additional_headers={"Cookie": header(cookies)}, origin=origin, proxy=None
        )

    def _keep(self, page: Page) -> Page:
        for line in page.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if not morsel.value:
                    del self.cookies[name]
        return page


def header(cookies: Mapping[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def reached(visitor: Visitor) -> bool:
    try:
        return visitor.get("/").status == 302
    except OSError:
        return False


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as `make dist` builds it."""
    if shutil.which("curl") is None:
        pytest.skip("the page uses curl, which this machine lacks")
    directory = tmp_path_factory.mktemp("wheel")
    if reason := redis_servers.why_not() or why_no_index(directory / "probe"):
        pytest.skip(reason)
    return build(directory / "dist")[0]


@pytest.fixture
def reader(tmp_path: Path, wheel: Path) -> Iterator[Reader]:
    """A person with an empty directory, a package index that has the wheel, and a Redis."""
    # `pip install 'tidewire[daphne]'` takes this wheel.
    links = f"{wheel.parent} {os.environ.get('PIP_FIND_LINKS', '')}"
    redis = redis_servers.Server(tmp_path / "redis")
    redis.start()
    directory = tmp_path / "empty"
    directory.mkdir()
    url = f"redis://{LOOPBACK}:{redis.port}/0"
    person = Reader(directory, clean_environment(PIP_FIND_LINKS=links, REDIS_URL=url))
    try:
        yield person
    finally:
        person.leave()
        redis.kill()


async def test_the_page_leads_from_pip_to_a_live_page_and_to_a_drain(reader, tmp_path):
    port, admin_port = free_port(), free_port()
    blocks = read_blocks(PAGE.read_text().replace("8000", str(port)).replace("9000", str(admin_port)))
    sections = {name: [block for block in blocks if block.heading == name] for name in SECTIONS}
    assert [name for name, found in sections.items() if not found] == [], "a section of the page has another name"
    began = time.monotonic()
    for block in (*sections["Install"], *sections["A live page in an empty directory"]):
        reader.follow(block)
    [start] = sections["Start"]
    server = reader.start(start.text.strip(), tmp_path / "server.log")
    visitor = Visitor(port)
    while not reached(visitor):
        assert server.poll() is None, (tmp_path / "server.log").read_text()
        assert time.monotonic() - began < MINUTES * 60
        await asyncio.sleep(0.1)

    # A live page.
    assert visitor.post("/admin/login/?next=/", "/admin/login/", username="ada", password="secret").status == 302
    page = visitor.get("/").text
    [client] = re.findall(r'from "(/static/\S+client\.js)"', page)
    assert visitor.get(client).status == 200
    [path] = re.findall(r'new Live\("(\S+)"', page)
    async with visitor.socket(path, visitor.cookies) as socket:
        await event(socket, "resumed")
        assert visitor.post("/", "/", text="Hello").status == 302
        assert (await event(socket, "message.sent"))["text"] == "Hello"
        seconds = time.monotonic() - began
        assert seconds < MINUTES * 60
        (tmp_path / "seconds").write_text(f"{seconds:.0f}")

        # Its metrics, before and after a logout.
        shown = "".join(map(reader.follow, sections["See what you have"]))
        assert metric(shown, "tidewire_connections", consumer="MessagesConsumer") == 1
        cookies = dict(visitor.cookies)
        assert {"sessionid", "tidewire_ticket"} <= cookies.keys()
        closing = asyncio.create_task(close_code(socket))
        await asyncio.to_thread(visitor.post, "/admin/logout/", "/")
        sent = time.monotonic()
        assert await closing == CloseCode.REVOKED
        assert time.monotonic() - sent < LOGOUT_SECONDS
    for names in ({"sessionid", "tidewire_ticket"}, {"tidewire_ticket"}):
        async with visitor.socket(path, {name: cookies[name] for name in names}) as socket:
            assert await close_code(socket) == CloseCode.UNAUTHENTICATED

    # A drain.
    for block in sections["Stop it"]:
        output = reader.follow(block)
    assert output.splitlines()[-1] == "gone"
    assert server.wait(WAIT_SECONDS) == 0


def test_the_page_measures_a_chat_that_knows_nothing_of_tidewire(reader):
    """With the wheel alone: no file of this repository is within reach of the command."""
    (reader.directory / "project").mkdir()
    (reader.directory / "project" / "asgi.py").write_text((ROOT / "examples" / "chat" / "asgi.py").read_text())
    blocks = read_blocks(PAGE.read_text())
    output = "".join(reader.follow(block) for block in blocks if block.heading in ("Install", "Measure it"))
    assert "a message reaches 300 sockets; rounds: 3" in output
    found = re.findall(r"^(before|after) .* 0 +0 +0$", output, re.MULTILINE)
    assert found == ["before", "after"], output
    assert re.search(r"^after: \S+ times less CPU per frame", output, re.MULTILINE), output
