"""Users with browsers, logged in to the real stack."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browsers import SHARED_CHROMIUM, Person, seats
from tests.sockets import open_socket
from tests.stack import Stack

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
LARGEST_BYTES = 200_000


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.is_registered(SHARED_CHROMIUM):
        config.pluginmanager.register(SHARED_CHROMIUM)


@pytest.fixture
def shared_chromium() -> Iterator[Browser]:
    yield from SHARED_CHROMIUM.get()


@pytest.fixture
def chromium(shared_chromium: Browser) -> Browser:
    return shared_chromium


@pytest.fixture(scope="session")
def cookies() -> Callable[[Stack, str], str]:
    """`cookies(stack, "ada")` returns a user's session on a stack."""
    return lambda stack, name: stack.cookies[name]


@pytest.fixture
def seat(chromium, cookies) -> Iterator[Callable[..., Person]]:
    """`seat(stack, "ada")` returns ada with a browser of her own, logged in to that stack."""
    with seats(chromium) as sit:

        def seat(stack: Stack, name: str, **options: Any) -> Person:
            person = sit(name, stack.url, **options)
            key, _, value = cookies(stack, name).partition("=")
            person.page.context.add_cookies([{"name": key, "value": value, "url": stack.url}])
            return person

        yield seat


@pytest.fixture
def ada(seat, stack) -> Person:
    return seat(stack, "ada")


@pytest.fixture
def bob(seat, stack) -> Person:
    return seat(stack, "bob")


@pytest.fixture
def picture_file(tmp_path):
    """`picture_file(name)` is the path to write a picture to. With TIDEWIRE_SCREENSHOTS=1 it is kept."""
    keep = os.environ.get("TIDEWIRE_SCREENSHOTS") == "1"
    directory = PICTURES if keep else tmp_path
    directory.mkdir(parents=True, exist_ok=True)
    names = []

    def path(name):
        names.append(name)
        return directory / name

    yield path
    sizes = {name: (directory / name).stat().st_size for name in names}
    assert all(size < LARGEST_BYTES for size in sizes.values()), sizes


@pytest.fixture
def picture(picture_file):
    """`picture(page, name)` takes one, to keep with TIDEWIRE_SCREENSHOTS=1."""
    return lambda page, name: page.screenshot(path=picture_file(f"{name}.png"), animations="disabled", caret="hide")


@pytest.fixture
def crowd(cookies):
    """`crowd(stack, "ws-0", 60)` opens 60 sockets of bob's on that node itself, until `crowd.close()` or the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    opened = []

    async def open_one(stack, name, cookie):
        node = next(node for node in stack.ws if node.name == name)
        opened.append(await open_socket(stack, "/ws/documents/", cookie, at=f"ws://127.0.0.1:{node.port}"))

    async def close_all():
        await asyncio.gather(*(socket.close() for socket in opened))

    def gather(stack, name, count):
        cookie = cookies(stack, "bob")
        for _ in range(count):
            asyncio.run_coroutine_threadsafe(open_one(stack, name, cookie), loop).result(15)

    def close():
        asyncio.run_coroutine_threadsafe(close_all(), loop).result(15)

    gather.close = close
    yield gather
    close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
