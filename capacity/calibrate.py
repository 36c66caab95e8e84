"""Measures costs on this machine: real processes (nginx, web, two nodes, Redis) and cheap clients.

Prints lines for costs.toml and writes no file. Each figure is the CPU used while an action was repeated many times,
less the CPU that the same processes use at rest and for the sockets that are open.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from capacity.hint_costs import hint_costs
from capacity.idle_sockets import IdleSockets
from capacity.readings import Readings, costs_of
from capacity.stack_stand import Sizes, Stand, nothing, wait_for_presence
from capacity.visitor import Visitor
from capacity.workload import CalibrateError
from loadtest.create_users import username
from loadtest.run.message_cache import Message

NODES = 2
USERS, LIST, NOTIFICATIONS = "/ws/users/", "/ws/documents/", "/ws/notifications/"
# The first run of code loads it and fills caches, a cost that later runs do not have.
WARM_UP_PAGES = 10
# Ten times as long as an event needs to reach the last of the clients. To wait for that one, the clients would
# have to parse each event.
BETWEEN_SAVES_SECONDS = 0.05


def main(sizes: Sizes | None = None) -> str:
    """Calibrate. This takes two minutes, and the machine must do nothing else."""
    from tests.stack import Stack, why_not  # noqa: PLC0415 - planning needs no stack of the tests

    if reason := why_not():
        raise CalibrateError(reason)
    sizes = sizes or Sizes()
    with tempfile.TemporaryDirectory(prefix="tidewire-calibrate-") as directory:
        stack = Stack(Path(directory) / "var", web=1, ws=NODES)
        stack.prepare()
        with stack, IdleSockets(stack.layout.ports.nginx) as clients:
            names = [username(number) for number in range(1, sizes.users + 1)]
            stack.run("-m", "loadtest.create_users", str(sizes.users))
            cookies = list(stack.sessions(*names, tickets=True).values())
            found = _read(Stand(stack, clients, cookies, sizes), hint_costs())
    return printed(costs_of(found), sizes)


def printed(found: Mapping[str, Mapping[str, float]], sizes: Sizes) -> str:
    lines = [f"# `python -m capacity calibrate`, {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores; {sizes}."]
    for section, costs in found.items():
        lines += ["", f"[{section}]", *(f"{name} = {value:.3g}" for name, value in costs.items())]
    return "\n".join([*lines, ""])


def _read(stand: Stand, hint_us: tuple[float, float]) -> Readings:
    """Measure in this order, because the use at rest and for sockets must be subtracted from later figures."""
    sizes = stand.sizes
    visitor = Visitor(stand.stack.url, stand.cookies[0])
    stand.slugs = visitor.slugs
    save_once = visitor.saver(stand.slugs[0])
    _warm_up(stand, visitor)
    stand.rest = stand.used(nothing(sizes.rest_seconds)).cores
    stand.resting = len(stand.clients.sockets)
    tab = [(path, cookie) for cookie in stand.cookies for path in (USERS, NOTIFICATIONS)]
    with stand.open(tab):
        # With few sockets, each heartbeat wakes a sleeping process, and so do the heartbeats to be subtracted below.
        stand.socket = stand.each_open(len(tab))
        fan_out = stand.measure(lambda: _paced(save_once), sizes.saves // 3)
        with stand.open(tab * (sizes.tabs - 1)):
            among_many = stand.each_open(len(tab) * sizes.tabs)
    page = stand.measure(visitor.next_page, sizes.pages)
    log_in = stand.measure(lambda: visitor.log_in(username(1)), sizes.logins)
    save, late = _save(stand, save_once)
    plain, present, query, arrival = _handshakes(stand)
    edit = _edit(stand)
    redis_rest, redis_node = _redis_at_rest(stand)
    return Readings(
        nodes=NODES,
        rest=stand.rest,
        socket=among_many,
        readers=sizes.users + NODES,
        fan_out=fan_out,
        save=save,
        late=late,
        page=page,
        log_in=log_in,
        plain=plain,
        present=present,
        query=query,
        arrival=arrival,
        edit=edit,
        redis_rest=redis_rest,
        redis_node=redis_node,
        publish_us=hint_us[0],
        node_us=hint_us[1],
    )


def _warm_up(stand: Stand, visitor: Visitor) -> None:
    """Load code and fill caches, and let each node follow all topics that nodes follow."""
    for _ in range(WARM_UP_PAGES):
        visitor.next_page()
    for node in stand.stack.ws:
        for path in (USERS, LIST, NOTIFICATIONS):
            stand.clients.open(path, stand.cookies[0], port=node.port)
        for slug, cookie in zip(stand.slugs, stand.cookies, strict=False):
            stand.clients.open(_document(slug, "read"), cookie, port=node.port)
    stand.churn(lambda _i: NOTIFICATIONS, lambda _i: stand.cookies[0])
    wait_for_presence()


def _save(stand: Stand, save: Callable[[], None]) -> tuple[Mapping[str, float], Counter[float]]:
    """Return the cost of a save, and its event's delays in milliseconds, with hardly any client to receive it."""
    late: Counter[float] = Counter()

    def note(text: bytes) -> None:
        now, message = time.time(), Message(text)
        if message.offset is not None:
            late[(now - message.stamped) * 1000] += 1

    reader = stand.clients.open(NOTIFICATIONS, stand.cookies[0], note)
    found = stand.measure(lambda: _paced(save), stand.sizes.saves)
    stand.clients.close(reader)
    return found, late


def _handshakes(stand: Stand) -> Sequence[Mapping[str, float]]:
    """Return costs by kind: plain; of a present user; with a database query; of a user that comes and leaves again."""
    # These users read the documents on both nodes, and are on the dashboard for a while.
    slugs = stand.slugs
    present_cookies = stand.cookies[: len(slugs)]
    others = stand.cookies[len(slugs) :]

    def come_and_go() -> None:
        stand.churn(lambda i: _document(slugs[i % len(slugs)], "read"), lambda i: others[i % len(others)])
        wait_for_presence()

    plain = stand.measure(
        lambda: stand.churn(lambda _i: NOTIFICATIONS, lambda i: present_cookies[i % len(present_cookies)])
    )
    with stand.open([(USERS, cookie) for cookie in present_cookies]):
        present = stand.measure(
            lambda: stand.churn(lambda _i: USERS, lambda i: present_cookies[i % len(present_cookies)])
        )
    query = stand.measure(
        lambda: stand.churn(
            lambda i: _document(slugs[i % len(slugs)], "read"), lambda i: present_cookies[i % len(present_cookies)]
        )
    )
    found = (plain, present, query, stand.measure(come_and_go))
    return [{name: used / stand.sizes.connects for name, used in each.items()} for each in found]


def _edit(stand: Stand) -> Mapping[str, float]:
    """Return the cost of a user with an open form, for a second."""
    slugs = stand.slugs
    editors = stand.cookies[len(slugs) :][: stand.sizes.editors]
    with stand.open([(_document(slugs[i % len(slugs)], "update"), cookie) for i, cookie in enumerate(editors)]):
        found = stand.measure(nothing(stand.sizes.rest_seconds))
    return {name: used / stand.sizes.rest_seconds / len(editors) for name, used in found.items()}


def _redis_at_rest(stand: Stand) -> tuple[float, float]:
    """Return the cost of Redis alone and of each node, from a stack with two nodes at rest, and with one."""
    by_two = stand.rest["redis"]
    last = stand.stack.ws[-1]
    stand.clients.leave(last.port)
    stand.stack.stop(last.name)
    by_one = stand.used(nothing(stand.sizes.rest_seconds)).cores["redis"]
    return by_one - (by_two - by_one), by_two - by_one


def _document(slug: str, phase: str) -> str:
    return f"/ws/document/{slug}/{phase}/"


def _paced(save: Callable[[], None]) -> None:
    """Save, then wait, so that the event can reach all clients before the next save."""
    save()
    time.sleep(BETWEEN_SAVES_SECONDS)
