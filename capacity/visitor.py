"""A user that loads pages, saves and logs in, through nginx, by plain HTTP; without sockets and without Locust."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

import requests

from capacity.costs import CalibrateError
from loadtest.clients.browser import Page
from loadtest.create_users import password

TIMEOUT_SECONDS = 20.0


class Visitor:
    def __init__(self, url: str, cookie: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._turns: Iterator[str] | None = None
        for pair in filter(None, cookie.split("; ")):
            name, _, value = pair.partition("=")
            self._session.cookies.set(name, value)

    def next_page(self) -> None:
        """Load the next page; each comes as often as in the journeys of the load test."""
        if self._turns is None:
            first, second, *_ = self.slugs
            read, edit = f"/documents/{first}/", f"/documents/{second}/edit/"
            self._turns = itertools.cycle(("/", read, "/notifications/", "/", edit, "/notifications/"))
        self.get(next(self._turns))

    @property
    def slugs(self) -> list[str]:
        """The documents on the first page of the list."""
        return self.get("/").slugs

    def get(self, path: str) -> Page:
        return self._page(self._session.get(f"{self._url}{path}", timeout=TIMEOUT_SECONDS))

    def saver(self, slug: str) -> Callable[[], None]:
        """Return a function that saves the document once more at each call, and loads the page that follows."""
        path = f"/documents/{slug}/edit/"
        form = self.get(path)
        fields = {name: form.field(name) for name in ("csrfmiddlewaretoken", "title")}
        version = int(form.field("version"))

        def save() -> None:
            nonlocal version
            # Each text must be new, because a save without changes makes no version and no event.
            self._post(path, {**fields, "version": str(version), "body": f"Saved over version {version}."})
            version += 1

        return save

    def log_in(self, name: str) -> None:
        """Log in as another user on the same machine, which leaves this session unchanged."""
        other = Visitor(self._url, "")
        form = other.get("/login/")
        token = form.field("csrfmiddlewaretoken")
        fields = {"username": name, "password": password(), "csrfmiddlewaretoken": token, "next": ""}
        other._post("/login/", fields)

    def _post(self, path: str, fields: Mapping[str, str]) -> Page:
        headers = {"Referer": f"{self._url}{path}"}
        page = self._page(
            self._session.post(f"{self._url}{path}", data=fields, headers=headers, timeout=TIMEOUT_SECONDS)
        )
        if page.path == path:
            raise CalibrateError(f"POST {path} led nowhere: {page.status}")
        return page

    @staticmethod
    def _page(answer: requests.Response) -> Page:
        if not answer.ok:
            raise CalibrateError(f"{answer.url}: {answer.status_code}")
        return Page(urlsplit(answer.url).path, answer.text, answer.status_code)
