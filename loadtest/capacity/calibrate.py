"""Measures on this machine what things cost: real processes (nginx, web, two nodes, Redis) and cheap clients.

Prints lines for costs.toml and writes no file. Each figure is what was used while one thing was done many times, less
what the same processes use at rest and for the sockets that are open.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from loadtest.bench.accounting import cpu_seconds, process_tree
from loadtest.browser import Page
from loadtest.capacity.crowd import Client, Crowd
from loadtest.capacity.hints import CalibrateError, hint_costs
from loadtest.figures import percentile
from loadtest.messages import Message
from loadtest.people import DOCUMENTS, password, username

if TYPE_CHECKING:
    from tests.stack import Stack

NODES = 2
SLUGS = [f"load-{number:02}" for number in range(1, DOCUMENTS + 1)]
USERS, LIST, NOTIFICATIONS = "/ws/users/", "/ws/documents/", "/ws/notifications/"
PAGES = ("/", f"/documents/{SLUGS[0]}/", "/notifications/", "/", f"/documents/{SLUGS[1]}/edit/", "/notifications/")
# Longer than the grace of three seconds, after which a member has left, and a touch and a coalesced reading more.
LEFT_SECONDS = 5.0
# A socket stays open while so many others come, as long as it takes to be told of in presence.
STAY = 20
# What runs for the first time loads code and fills caches, for which nothing later pays.
WARM_UP_PAGES = 10


@dataclass(frozen=True)
class Sizes:
    """How often each thing is done: enough that it stands out of what the processes do at rest."""

    rest_seconds: float = 12.0
    idle_seconds: float = 20.0
    users: int = 300
    connects: int = 240
    connects_per_second: float = 40.0
    pages: int = 24
    saves: int = 60
    logins: int = 5
    editors: int = 40

    def __str__(self) -> str:
        return f"{self.users} users, {self.connects} connects of each kind, {self.saves} saves, {self.pages} pages"


@dataclass(frozen=True)
class Used:
    """CPU seconds by service, in so many seconds."""

    seconds: float
    cpu: Mapping[str, float]

    def beyond(self, *rates: Mapping[str, float]) -> dict[str, float]:
        """Without what is used anyway: cores by service."""
        return {
            name: used - self.seconds * sum(rate.get(name, 0.0) for rate in rates) for name, used in self.cpu.items()
        }

    @property
    def cores(self) -> dict[str, float]:
        return {name: used / self.seconds for name, used in self.cpu.items()}


@dataclass
class Stand:
    """The processes, the crowd, and what is used at rest and for each open socket."""

    stack: Stack
    crowd: Crowd
    cookies: Sequence[str]
    sizes: Sizes
    rest: Mapping[str, float] = field(default_factory=dict)
    socket: Mapping[str, float] = field(default_factory=dict)
    resting: int = 0

    def measure(self, work: Callable[[], None], times: int = 1) -> dict[str, float]:
        """CPU seconds that the work takes once, by service, beyond rest and open sockets."""

        def often() -> None:
            for _ in range(times):
                work()

        used = self.used(often)
        # The few that are open at rest are in it.
        count = len(self.crowd.clients) - self.resting
        found = used.beyond(self.rest, {name: cores * count for name, cores in self.socket.items()})
        return {name: seconds / times for name, seconds in found.items()}

    def used(self, work: Callable[[], None]) -> Used:
        before, began = self._cpu(), time.monotonic()
        work()
        after, seconds = self._cpu(), time.monotonic() - began
        self.crowd.check()
        return Used(seconds, {name: after[name] - before[name] for name in after})

    def _cpu(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for running in self.stack.processes.values():
            if running.runs:
                used = cpu_seconds(process_tree(running.pid))
                group = running.definition.group
                found[group] = found.get(group, 0.0) + used
        return found

    def churn(self, path: Callable[[int], str], cookie: Callable[[int], str]) -> None:
        """Sockets that come at a pace and leave, each after some others have come."""
        here: list[Client] = []
        began = time.monotonic()
        for i in range(self.sizes.connects):
            here.append(self.crowd.open(path(i), cookie(i)))
            if len(here) > STAY:
                self.crowd.close(here.pop(0))
            time.sleep(max(0.0, began + (i + 1) / self.sizes.connects_per_second - time.monotonic()))
        for client in here:
            self.crowd.close(client)

    @contextlib.contextmanager
    def open(self, sockets: Sequence[tuple[str, str]]) -> Iterator[list[Client]]:
        """These (path, cookie) while it lasts; when it begins they have been told of."""
        clients = [self.crowd.open(path, cookie) for path, cookie in sockets]
        time.sleep(LEFT_SECONDS)
        try:
            yield clients
        finally:
            for client in clients:
                self.crowd.close(client)
            time.sleep(LEFT_SECONDS)


def main(sizes: Sizes | None = None) -> str:
    """Takes two minutes and a machine that does nothing else."""
    from tests.stack import Stack, why_not  # noqa: PLC0415 - planning needs no stack of the tests'

    if reason := why_not():
        raise CalibrateError(reason)
    sizes = sizes or Sizes()
    with tempfile.TemporaryDirectory(prefix="tidewire-calibrate-") as directory:
        stack = Stack(Path(directory) / "var", web=1, ws=NODES)
        stack.prepare()
        with stack, Crowd(stack.layout.ports.nginx) as crowd:
            names = [username(number) for number in range(1, sizes.users + 1)]
            stack.run("-m", "loadtest.people", str(sizes.users))
            cookies = list(stack.sessions(*names, tickets=True).values())
            found = _costs(Stand(stack, crowd, cookies, sizes), hint_costs())
    return printed(found, sizes)


def printed(found: Mapping[str, Mapping[str, float]], sizes: Sizes) -> str:
    lines = [
        f"# `python -m loadtest.capacity calibrate`, {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores; {sizes}."
    ]
    for section, costs in found.items():
        lines += ["", f"[{section}]", *(f"{name} = {value:.3g}" for name, value in costs.items())]
    return "\n".join([*lines, ""])


def _costs(stand: Stand, hint_us: tuple[float, float]) -> dict[str, dict[str, float]]:
    """By section of costs.toml. All are of one thing done once, or of a core for a second."""
    sizes = stand.sizes
    browser = _Browser(stand.stack.url, stand.cookies[0])
    save_once = browser.saver(SLUGS[0])
    _settle_in(stand, browser)
    stand.rest = stand.used(lambda: time.sleep(sizes.rest_seconds)).cores
    stand.resting = len(stand.crowd.clients)
    with stand.open([(path, cookie) for cookie in stand.cookies for path in (USERS, NOTIFICATIONS)]) as crowd:
        idle = stand.used(lambda: time.sleep(sizes.idle_seconds)).beyond(stand.rest)
        stand.socket = {name: used / sizes.idle_seconds / len(crowd) for name, used in idle.items()}
        fan_out = stand.measure(lambda: _paced(save_once), sizes.saves // 3)
    page = stand.measure(browser.next_page, sizes.pages)
    log_in = stand.measure(lambda: browser.log_in(username(1)), sizes.logins)
    save, late = _save(stand, save_once)
    plain, hold, query, arrival = _handshakes(stand)
    edit = _edit(stand)
    redis_rest, redis_node = _redis_at_rest(stand)
    publish_us, node_us = hint_us
    hear = save["ws"] / NODES
    readers = sizes.users + NODES
    # A member that comes and goes makes two versions of its topic.
    version = {name: (arrival[name] - query[name]) / 2 for name in arrival}
    return {
        "delivery_us": {
            str(readers * 2 // NODES): (fan_out["ws"] - NODES * hear) / readers * 1e6,
        },
        "node": {
            "rest_core": stand.rest["ws"] / NODES,
            "socket_us": stand.socket["ws"] * 1e6,
            "connect_ticket_ms": plain["ws"] * 1e3,
            "hold_ms": (hold["ws"] - plain["ws"]) * 1e3,
            "query_ms": (query["ws"] - hold["ws"]) * 1e3,
            "hear_ms": hear * 1e3,
            "read_ms": version["ws"] / NODES * 1e3,
            "edit_us": edit["ws"] * 1e6,
        },
        "redis": {
            "redis_rest_core": redis_rest,
            "redis_node_core": redis_node,
            "redis_hold_us": (hold["redis"] - plain["redis"]) * 1e6,
            "redis_page_us": page["redis"] * 1e6,
            "redis_edit_us": edit["redis"] * 1e6,
            "stream_event_us": (save["redis"] - page["redis"]) * 1e6 - NODES * node_us,
            "publish_us": publish_us,
            "node_us": node_us,
            "redis_read_us": (version["redis"] * 1e6 - publish_us) / NODES - node_us,
        },
        "nginx": {
            "nginx_socket_us": stand.socket["nginx"] * 1e6,
            "nginx_connect_ms": plain["nginx"] * 1e3,
            "nginx_delivery_us": (fan_out["nginx"] - save["nginx"]) / readers * 1e6,
            "nginx_page_ms": page["nginx"] * 1e3,
        },
        "web": {"page_ms": page["web"] * 1e3, "save_ms": save["web"] * 1e3, "login_ms": log_in["web"] * 1e3},
        "latency": {"base_p50_ms": percentile(late, 50.0), "base_p95_ms": percentile(late, 95.0)},
    }


def _settle_in(stand: Stand, browser: _Browser) -> None:
    """Code is loaded, caches are filled, and each node follows all that nodes follow."""
    for _ in range(WARM_UP_PAGES):
        browser.next_page()
    for node in stand.stack.ws:
        for path in (USERS, LIST, NOTIFICATIONS):
            stand.crowd.open(path, stand.cookies[0], port=node.port)
        for slug, cookie in zip(SLUGS, stand.cookies, strict=False):
            stand.crowd.open(_document(slug, "read"), cookie, port=node.port)
    stand.churn(lambda _i: NOTIFICATIONS, lambda _i: stand.cookies[0])
    time.sleep(LEFT_SECONDS)


def _save(stand: Stand, save: Callable[[], None]) -> tuple[Mapping[str, float], Counter[float]]:
    """What a save costs, and by how much its event was late, in milliseconds, with hardly anybody to get it."""
    late: Counter[float] = Counter()

    def note(text: bytes) -> None:
        now, message = time.time(), Message(text)
        if message.offset is not None:
            late[(now - message.stamped) * 1000] += 1

    reader = stand.crowd.open(NOTIFICATIONS, stand.cookies[0], note)
    found = stand.measure(lambda: _paced(save), stand.sizes.saves)
    stand.crowd.close(reader)
    return found, late


def _handshakes(stand: Stand) -> Sequence[Mapping[str, float]]:
    """By kind: plain; of who is present already; that asks the database, too; of who comes and is gone after it."""
    # They read the documents on both nodes, and are on the dashboard for a while.
    present = stand.cookies[: len(SLUGS)]
    others = stand.cookies[len(SLUGS) :]

    def come_and_go() -> None:
        stand.churn(lambda i: _document(SLUGS[i % len(SLUGS)], "read"), lambda i: others[i % len(others)])
        time.sleep(LEFT_SECONDS)

    plain = stand.measure(lambda: stand.churn(lambda _i: NOTIFICATIONS, lambda i: present[i % len(present)]))
    with stand.open([(USERS, cookie) for cookie in present]):
        hold = stand.measure(lambda: stand.churn(lambda _i: USERS, lambda i: present[i % len(present)]))
    query = stand.measure(
        lambda: stand.churn(lambda i: _document(SLUGS[i % len(SLUGS)], "read"), lambda i: present[i % len(present)])
    )
    found = (plain, hold, query, stand.measure(come_and_go))
    return [{name: used / stand.sizes.connects for name, used in each.items()} for each in found]


def _edit(stand: Stand) -> Mapping[str, float]:
    """Of who has a form open, for a second."""
    editors = stand.cookies[len(SLUGS) :][: stand.sizes.editors]
    with stand.open([(_document(SLUGS[i % len(SLUGS)], "update"), cookie) for i, cookie in enumerate(editors)]):
        found = stand.measure(lambda: time.sleep(stand.sizes.rest_seconds))
    return {name: used / stand.sizes.rest_seconds / len(editors) for name, used in found.items()}


def _redis_at_rest(stand: Stand) -> tuple[float, float]:
    """Of Redis alone, and of each node: from two nodes at rest, and one."""
    by_two = stand.rest["redis"]
    last = stand.stack.ws[-1]
    stand.crowd.leave(last.port)
    stand.stack.stop(last.name)
    by_one = stand.used(lambda: time.sleep(stand.sizes.rest_seconds)).cores["redis"]
    return by_one - (by_two - by_one), by_two - by_one


def _document(slug: str, phase: str) -> str:
    return f"/ws/document/{slug}/{phase}/"


def _paced(save: Callable[[], None]) -> None:
    """With a rest, so that one save's event is everywhere before the next."""
    save()
    time.sleep(0.05)


class _Browser:
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
        return self._page(self._session.get(f"{self._url}{path}", timeout=20))

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
        other = _Browser(self._url, "")
        form = other.get("/login/")
        token = form.field("csrfmiddlewaretoken")
        fields = {"username": name, "password": password(), "csrfmiddlewaretoken": token, "next": ""}
        other._post("/login/", fields)

    def _post(self, path: str, fields: Mapping[str, str]) -> Page:
        headers = {"Referer": f"{self._url}{path}"}
        found = self._page(self._session.post(f"{self._url}{path}", data=fields, headers=headers, timeout=20))
        if found.path == path:
            raise CalibrateError(f"POST {path} led nowhere: {found.status}")
        return found

    @staticmethod
    def _page(answer: requests.Response) -> Page:
        if not answer.ok:
            raise CalibrateError(f"{answer.url}: {answer.status_code}")
        return Page(urlsplit(answer.url).path, answer.text, answer.status_code)
