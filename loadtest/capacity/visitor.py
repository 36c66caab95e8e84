"""Somebody who loads pages, saves and logs in, through nginx, by plain HTTP; no socket, and nothing of Locust's."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import requests

from loadtest.browser import Page
from loadtest.capacity.workload import CalibrateError
from loadtest.people import DOCUMENTS, password

TIMEOUT_SECONDS = 20.0
SLUGS = [f"load-{number:02}" for number in range(1, DOCUMENTS + 1)]
PAGES = ("/", f"/documents/{SLUGS[0]}/", "/notifications/", "/", f"/documents/{SLUGS[1]}/edit/", "/notifications/")


class Visitor:
    def __init__(self, url: str, cookie: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._turns = itertools.cycle(PAGES)
        for pair in filter(None, cookie.split("; ")):
            name, _, value = pair.partition("=")
            self._session.cookies.set(name, value)

    def next_page(self) -> None:
        """In turns, as often as the journeys of the load test load each."""
        self.get(next(self._turns))

    def get(self, path: str) -> Page:
        return self._page(self._session.get(f"{self._url}{path}", timeout=TIMEOUT_SECONDS))

    def saver(self, slug: str) -> Callable[[], None]:
        """Saves the document once more each time it is called, and looks at the page that it leads to."""
        path = f"/documents/{slug}/edit/"
        form = self.get(path)
        fields = {name: form.field(name) for name in ("csrfmiddlewaretoken", "title", "body")}
        version = int(form.field("version"))

        def save() -> None:
            nonlocal version
            self._post(path, {**fields, "version": str(version)})
            version += 1

        return save

    def log_in(self, name: str) -> None:
        """As somebody else on the same machine: nothing of this session is lost."""
        other = Visitor(self._url, "")
        form = other.get("/login/")
        token = form.field("csrfmiddlewaretoken")
        fields = {"username": name, "password": password(), "csrfmiddlewaretoken": token, "next": ""}
        other._post("/login/", fields)

    def _post(self, path: str, fields: Mapping[str, str]) -> Page:
        headers = {"Referer": f"{self._url}{path}"}
        found = self._page(
            self._session.post(f"{self._url}{path}", data=fields, headers=headers, timeout=TIMEOUT_SECONDS)
        )
        if found.path == path:
            raise CalibrateError(f"POST {path} led nowhere: {found.status}")
        return found

    @staticmethod
    def _page(answer: requests.Response) -> Page:
        if not answer.ok:
            raise CalibrateError(f"{answer.url}: {answer.status_code}")
        return Page(urlsplit(answer.url).path, answer.text, answer.status_code)
