"""HTTP requests for tests: redirects are not followed, and no status raises an exception."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any


@dataclass(frozen=True)
class Page:
    status: int
    headers: Message
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: object) -> None:
        return None


# Ignores the proxies that the environment may name, because all servers are on loopback.
_OPENER = urllib.request.build_opener(_Stay, urllib.request.ProxyHandler({}))


def fetch(
    url: str,
    *,
    fields: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float = 20.0,
) -> Page:
    """Send a GET request, or POST the `fields` of a form."""
    body = urllib.parse.urlencode(fields).encode() if fields is not None else None
    request = urllib.request.Request(url, body, dict(headers or {}))  # noqa: S310 - the tests' own URLs
    try:
        with _OPENER.open(request, timeout=timeout_seconds) as response:
            return Page(response.status, response.headers, response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Page(error.code, error.headers, error.read().decode())


def submit(url: str, cookie: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Page:
    """POST a form as a logged-in browser does, with the CSRF token of the page at the same URL."""
    before = fetch(url, headers={"Cookie": cookie})
    token = before.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    set_now = [value.partition(";")[0] for value in before.headers.get_all("Set-Cookie", [])]
    cookies = "; ".join((cookie, *set_now))
    return fetch(
        url, fields={**fields, "csrfmiddlewaretoken": token}, headers={"Cookie": cookies, **dict(headers or {})}
    )


def metric(text: str, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels, from a page in Prometheus text format."""
    total = 0.0
    for line in text.splitlines():
        sample, _, value = line.rpartition(" ")
        family, _, pairs = sample.partition("{")
        if family == name and all(f'{label}="{wanted}"' in pairs for label, wanted in labels.items()):
            total += float(value)
    return total
