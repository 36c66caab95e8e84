"""Waits for processes to answer, up to a timeout. Starts and stops nothing."""

from __future__ import annotations

import http.client
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Timeout of one request; a slower process must answer a later request.
ANSWER_SECONDS = 2.0
BETWEEN_SECONDS = 0.05
# Without the proxy that the environment or the system names: all URLs are of this machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def is_ready(url: str) -> bool:
    if url.startswith("redis://"):
        return _redis_answers(url)
    try:
        with _DIRECT.open(url, timeout=ANSWER_SECONDS) as response:
            return int(response.status) == http.HTTPStatus.OK
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False


def wait_until_ready(
    urls: Mapping[str, str],
    *,
    timeout_seconds: float,
    on_ready: Callable[[str], None] = lambda _name: None,
    give_up: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Request each of `urls` (by name) until it answers. Returns the names without an answer when the wait ended."""
    waiting = {name: url for name, url in urls.items() if url}
    deadline = time.monotonic() + timeout_seconds
    while waiting and time.monotonic() < deadline and not give_up():
        for name in [name for name, url in waiting.items() if is_ready(url)]:
            del waiting[name]
            on_ready(name)
        if waiting:
            time.sleep(BETWEEN_SECONDS)
    return list(waiting)


def _redis_answers(url: str) -> bool:
    where = urllib.parse.urlsplit(url)
    try:
        with socket.create_connection((where.hostname or "", where.port or 6379), timeout=ANSWER_SECONDS) as redis:
            redis.sendall(b"PING\r\n")
            return redis.recv(16).startswith(b"+PONG")
    except OSError:
        return False
