"""`client.js` in a real Chromium, with a server that misbehaves on purpose."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conformance.scripted_server import Script, Server
from tests.tabs import THROTTLED, Chromium, Tab, running


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with running(tmp_path_factory.mktemp("chromium") / "profile", THROTTLED) as browser:
        yield browser


@pytest.fixture(scope="session")
def odd_server() -> Iterator[Server]:
    with Server() as running_server:
        yield running_server


@pytest.fixture
def client(chromium, odd_server) -> Iterator[Callable[..., Tab]]:
    """`client(script, heartbeatMs=300, positions=...)` opens a page with a client, and the server follows the script.

    No script of the page may have failed at the end, except in tests that allow it.
    """
    tabs: list[Tab] = []

    def open_page(script: Script, *, before: str = "", **options: Any) -> Tab:
        odd_server.begin(script)
        tab = chromium.tab()
        tabs.append(tab)
        if before:
            tab.before_load(before)
        tab.goto(f"{odd_server.url}/")
        tab.wait("window.ready")
        arguments = ", ".join(f"{name}: {value}" for name, value in options.items())
        tab.evaluate(f"open_(path, {{{arguments}}})")
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    odd_server.begin(Server.refuse_all)
