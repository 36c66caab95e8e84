"""The part of a browser that loads pages: cookies, the form's token, and the data in a page. No socket."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from loadtest.create_users import SESSION_COOKIE
from loadtest.run.causes import cause, status_cause
from loadtest.run.page_error import PageError
from loadtest.run.run_state import LOGIN_PATH

if TYPE_CHECKING:
    # Importing Locust patches the standard library, which must not happen to a mere reader of pages.
    from locust.clients import HttpSession

# Enough for a page, or for a login behind a queue of passwords to hash.
TIMEOUT_SECONDS = 60.0
OK, NO_CONTENT, CONFLICT = 200, 204, 409

__all__ = ["CONFLICT", "Browser", "Page", "PageError"]


@dataclass(frozen=True)
class Page:
    """A page as received, after redirects."""

    path: str
    text: str
    status: int = 200

    @property
    def position(self) -> str:
        """The first position of the page's stream socket, `epoch.mark:offset`, or an empty text."""
        return self._between('data-position="', '"')

    @property
    def newest_notification(self) -> str:
        return self._between('data-newest-notification="', '"')

    @property
    def slugs(self) -> list[str]:
        """The documents in a list."""
        return re.findall(r'<li class="document" data-document="([^"]+)"', self.text)

    def field(self, name: str) -> str:
        """Return the value of a hidden or text field, or the content of a text area."""
        tag = re.search(rf'<input[^>]*\bname="{name}"[^>]*>', self.text)
        if tag:
            value = re.search(r'\bvalue="([^"]*)"', tag[0])
            return html.unescape(value[1]) if value else ""
        area = re.search(rf'<textarea[^>]*\bname="{name}"[^>]*>\n?(.*?)</textarea>', self.text, re.DOTALL)
        if area is None:
            raise PageError(f"{self.path} has no field {name}", name=self.path)
        return html.unescape(area[1])

    def _between(self, before: str, after: str) -> str:
        return html.unescape(self.text.partition(before)[2].partition(after)[0])


class Browser:
    """The pages of one user. They use Locust's session, so that each is a request in its statistics."""

    def __init__(self, client: HttpSession, base: str, *, authority: str = "") -> None:
        self._client = client
        # Proxies of the shell's environment must not apply to a test of this host.
        client.trust_env = False
        if authority:
            client.verify = authority
        where = urlsplit(base)
        self.origin = f"{where.scheme}://{where.netloc}"

    @property
    def cookie(self) -> str:
        """The Cookie header, which the page's sockets send too."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._client.cookies)

    def get(self, path: str, name: str = "") -> Page:
        return self._ask("GET", path, name or path)

    def post(self, path: str, fields: Mapping[str, str], name: str = "") -> Page:
        """Send a form with its token, and with the header that Django checks over HTTPS."""
        return self._ask("POST", path, name or path, data=dict(fields), headers={"Referer": f"{self.origin}{path}"})

    def log_in(self, username: str, password: str) -> Page:
        """Log in through the page. Raises `PageError` if the login page does not lead to another page."""
        token = self.get(LOGIN_PATH).field("csrfmiddlewaretoken")
        fields = {"username": username, "password": password, "csrfmiddlewaretoken": token, "next": ""}
        page = self.post(LOGIN_PATH, fields)
        if page.path.startswith(LOGIN_PATH):
            raise PageError(
                "the login page refused the name or the password (`python -m loadtest.create_users` makes load users)",
                name=f"POST {LOGIN_PATH}",
            )
        return page

    def go_on(self, session: str) -> None:
        """Use a session that exists already."""
        self._client.cookies.set(SESSION_COOKIE, session)

    def _ask(self, method: str, path: str, name: str, **more: Any) -> Page:
        asked = self._client.request(
            method, path, name=name, catch_response=True, timeout=TIMEOUT_SECONDS, allow_redirects=True, **more
        )
        with asked as response:
            if response.status_code == CONFLICT:
                # Another user saved first, and the page shows both versions: an expected answer, no failure.
                response.success()
            elif response.status_code not in (OK, NO_CONTENT):
                why = cause(response.error) if response.error else status_cause(response.status_code)
                refused = PageError(why, name=name, is_counted=True)
                response.failure(refused)
                raise refused
            return Page(urlsplit(response.url or path).path, response.text or "", response.status_code)
