"""Tabs of a Chromium that hides, throttles and freezes them as it does for real users.

Playwright makes its pages believe that they have the focus, and disables throttling. These tabs are driven with the
DevTools protocol instead.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import websocket

from tests.browsers import CHROMIUM, FLAGS, NO_POPUPS

# Chromium throttles the timers of a hidden tab to one run a minute, after 5 minutes or this many seconds.
THROTTLED = "--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/10"
START_SECONDS = 30.0
ANSWER_SECONDS = 30.0
WAIT_SECONDS = 15.0
POLL_SECONDS = 0.05


class Tab:
    """A tab. `evaluate` returns a value that JSON can represent, and awaits a promise."""

    def __init__(self, chromium: "Chromium", target: str) -> None:
        self._chromium = chromium
        self._target = target
        self._socket = chromium.attach(target)
        self._number = 0
        self.dialogs = 0

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one DevTools command and return its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression. Raises `RuntimeError` if the script throws."""
        result = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def before_load(self, script: str) -> None:
        """Run a script in each page that this tab opens, before the page's own scripts."""
        self.command("Page.enable")
        self.command("Page.addScriptToEvaluateOnNewDocument", source=script)

    def goto(self, url: str) -> None:
        """Open a page and wait until it is loaded."""
        self.command("Page.navigate", url=url)
        self.wait(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url)})")

    def wait(self, expression: str, seconds: float = WAIT_SECONDS) -> Any:
        """Evaluate an expression repeatedly and return its first true value."""
        end = time.monotonic() + seconds
        while True:
            # While a page is being replaced, it briefly has no context.
            with contextlib.suppress(RuntimeError):
                if value := self.evaluate(expression):
                    return value
            assert time.monotonic() < end, f"not within {seconds:.0f} s: {expression}"
            time.sleep(POLL_SECONDS)

    def text(self, selector: str) -> str | None:
        """Return an element's text, or None if it is missing or hidden."""
        element = f"document.querySelector({json.dumps(selector)})"
        return self.evaluate(f"{element}?.checkVisibility() ? {element}.innerText.trim() : null")

    def cookie(self, url: str, header: str) -> None:
        """Set the cookies of a `Cookie` header."""
        for each in header.split("; "):
            name, _, value = each.partition("=")
            self.command("Network.setCookie", url=url, name=name, value=value)

    def front(self) -> None:
        """Bring the tab to the front, which hides every other tab of its window."""
        self.command("Page.bringToFront")

    def set_offline(self, *, offline: bool) -> None:
        """Disconnect the page from the network, or connect it again."""
        self.command("Network.enable")
        self.command(
            "Network.emulateNetworkConditions", offline=offline, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    def freeze(self) -> None:
        """Freeze the page, as Chromium freezes tabs in the background."""
        self.command("Page.setWebLifecycleState", state="frozen")

    def thaw(self) -> None:
        self.command("Page.setWebLifecycleState", state="active")

    def close(self) -> None:
        self._socket.close()
        self._chromium.close_tab(self._target)


class Chromium:
    """`with Chromium(directory) as chromium`. A tab has its own cookies unless it is opened `beside` another."""

    def __init__(self, directory: Path, *flags: str) -> None:
        assert CHROMIUM is not None
        self._directory = directory
        # A separate session, so that a wrapper script, the browser and its child processes end together.
        self._process = subprocess.Popen(
            [
                CHROMIUM, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={directory}",
                *FLAGS, f"--disable-features={NO_POPUPS}", *flags, "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        self._port = ""
        self._contexts: dict[str, str] = {}
        self._browser: websocket.WebSocket | None = None
        self._number = 0

    def __enter__(self) -> Self:
        written = self._directory / "DevToolsActivePort"
        end = time.monotonic() + START_SECONDS
        while not (written.exists() and written.read_text(encoding="ascii").count("\n") == 1):
            assert time.monotonic() < end, "Chromium did not start"
            time.sleep(POLL_SECONDS)
        self._port, path = written.read_text(encoding="ascii").split("\n")
        self._browser = self._connect(path)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._browser is not None:
            self._browser.close()
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(START_SECONDS)
        # Chromium's last processes may still write to the directory.
        shutil.rmtree(self._directory, ignore_errors=True)

    def tab(self, *, beside: Tab | None = None) -> Tab:
        """Open a tab in its own window, or in the window of another tab."""
        if beside is None:
            context = self._command("Target.createBrowserContext")["browserContextId"]
        else:
            context = self._contexts[beside._target]
        target = self._command("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self._contexts[target] = context
        return Tab(self, target)

    def stop(self, seconds: float) -> None:
        """Stop all processes of the browser for a time, like a host that is too busy to run them."""
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def close_tab(self, target: str) -> None:
        self._command("Target.closeTarget", targetId=target)

    def attach(self, target: str) -> websocket.WebSocket:
        return self._connect(f"/devtools/page/{target}")

    def _connect(self, path: str) -> websocket.WebSocket:
        return websocket.create_connection(
            f"ws://127.0.0.1:{self._port}{path}", timeout=ANSWER_SECONDS, suppress_origin=True, http_no_proxy="*"
        )

    def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        assert self._browser is not None
        self._number += 1
        self._browser.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._browser.recv())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])


@contextlib.contextmanager
def running(directory: Path, *flags: str) -> Iterator[Chromium]:
    """Run a Chromium with its own profile. The directory must not exist yet."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: see `make test`")
    with Chromium(directory, *flags) as chromium:
        yield chromium


def until(condition: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
    """Wait until a condition in the test's process is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:.0f} s"
        time.sleep(POLL_SECONDS)
