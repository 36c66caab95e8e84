"""Visitors: threads that read the list and save documents through nginx, and count failures."""

from __future__ import annotations

import http.client
import re
import threading
import time
import urllib.error
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from tests.compose.conftest import Compose
from tests.http_client import fetch, submit

# Longer than nginx waits for a page (30 s).
PATIENCE_SECONDS = 40.0
# A failure should not be repeated as fast as it comes.
AFTER_FAILURE_SECONDS = 0.5
VERSION = re.compile(r'name="version" value="(\d+)"')
SUBMISSION = re.compile(r'name="submission" value="([^"]+)"')


@dataclass
class Visits:
    """The visits of all threads. `failures`: (time, "page" or "save", the event)."""

    pages: int = 0
    saves: int = 0
    slowest_seconds: float = 0.0
    failures: list[tuple[float, str, str]] = field(default_factory=list)

    def failed(self, kind: str) -> int:
        return sum(each == kind for _at, each, _what in self.failures)

    def reasons(self) -> dict[str, int]:
        return dict(Counter(f"{kind}: {what}" for _at, kind, what in self.failures))


class Visitors:
    """`with Visitors(compose, cookies) as visitors`: each reader reads and each writer saves until the end."""

    def __init__(self, compose: Compose, cookies: dict[str, str], *, writers: int, each_seconds: float = 2.0) -> None:
        self._compose, self._each_seconds = compose, each_seconds
        self._lock, self._stop = threading.Lock(), threading.Event()
        self.visits = Visits()
        names = list(cookies)
        self._threads = [
            threading.Thread(target=self._visit, args=(cookies[name], number < writers), daemon=True)
            for number, name in enumerate(names)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
            # Not all at the same moment.
            time.sleep(self._each_seconds / len(self._threads))
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS * 2)

    def begin(self) -> Visits:
        """Count from now on."""
        with self._lock:
            self.visits = Visits()
        return self.visits

    def _visit(self, cookie: str, writes: bool) -> None:
        path = "/"
        while not self._stop.wait(self._each_seconds):
            if not writes:
                self._tried("page", lambda: _read(self._compose.url + "/", cookie))
            elif path == "/":
                path = self._created(cookie) or "/"
            else:
                edit = f"{self._compose.url}{path}edit/"
                self._tried("save", lambda url=edit: _save(url, cookie))

    def _created(self, cookie: str) -> str:
        try:
            title = f"By a visitor {time.time_ns()}"
            made = submit(f"{self._compose.url}/new/", cookie, {"title": title, "body": "0"})
        except OSError:
            return ""
        return made.headers.get("Location", "") if made.status == 302 else ""

    def _tried(self, kind: str, visit: object) -> None:
        began, what = time.monotonic(), ""
        try:
            what = visit()
        except urllib.error.URLError as error:
            what = type(error.reason).__name__
        except (OSError, http.client.HTTPException) as error:
            what = type(error).__name__
        with self._lock:
            visits = self.visits
            visits.pages += kind == "page"
            visits.saves += kind == "save"
            visits.slowest_seconds = max(visits.slowest_seconds, time.monotonic() - began)
            if what:
                visits.failures.append((time.time(), kind, what))
        if what:
            self._stop.wait(AFTER_FAILURE_SECONDS)


def _read(url: str, cookie: str) -> str:
    status = fetch(url, headers={"Cookie": cookie}, timeout_seconds=PATIENCE_SECONDS).status
    return "" if status == 200 else str(status)


def _save(url: str, cookie: str) -> str:
    """Read the form and save another text. Return the failure; only the POST counts as a save."""
    form = fetch(url, headers={"Cookie": cookie}, timeout_seconds=PATIENCE_SECONDS)
    if form.status != 200:
        return f"form {form.status}"
    version, submission = VERSION.search(form.text), SUBMISSION.search(form.text)
    token = form.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    fields = {
        "csrfmiddlewaretoken": token,
        "version": version[1] if version else "",
        "submission": submission[1] if submission else "",
        "body": str(time.time_ns()),
    }
    title = re.search(r'name="title" value="([^"]*)"', form.text)
    if title:
        fields["title"] = title[1]
    set_now = [value.partition(";")[0] for value in form.headers.get_all("Set-Cookie", [])]
    cookies = "; ".join((cookie, *set_now))
    status = fetch(url, fields=fields, headers={"Cookie": cookies}, timeout_seconds=PATIENCE_SECONDS).status
    return "" if status == 302 else str(status)
