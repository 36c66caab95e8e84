"""Measures costs on this machine: real processes (nginx, web, two nodes, Redis) and cheap clients.

Prints lines for costs.toml and writes no file. Each figure is the CPU used while an action was repeated many times,
less the CPU that the same processes use at rest and for the sockets that are open.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from capacity.costs import CalibrateError
from capacity.hint_costs import hint_costs
from capacity.idle_sockets import IdleSockets
from capacity.readings import Readings, costs_of
from capacity.stack_under_test import Sizes, StackUnderTest, nothing, wait_for_presence
from capacity.visitor import Visitor
from loadtest.create_users import username
from loadtest.run.message_cache import Message

NODES = 2
USERS, LIST, NOTIFICATIONS = "/ws/users/", "/ws/documents/", "/ws/notifications/"
# The first run of code loads it and fills caches, a cost that later runs do not have.
WARM_UP_PAGES = 10
# Ten times as long as an event needs to reach the last of the clients. To wait for that one, the clients would
# have to parse each event.
BETWEEN_SAVES_SECONDS = 0.05


def main(sizes: Sizes | None = None, *, rounds: int = 3) -> str:
    """Calibrate. Each round takes three minutes, and the machine must do nothing else."""
    from tests.stack import why_not  # noqa: PLC0415 - planning needs no stack of the tests

    if reason := why_not():
        raise CalibrateError(reason)
    sizes = sizes or Sizes()
    return printed([costs_of(_round(sizes)) for _ in range(rounds)], sizes)


def _round(sizes: Sizes) -> Readings:
    from tests.stack import Stack  # noqa: PLC0415 - planning needs no stack of the tests

    with tempfile.TemporaryDirectory(prefix="tidewire-calibrate-") as directory:
        stack = Stack(Path(directory) / "var", web=1, ws=NODES)
        stack.prepare()
        with stack, IdleSockets(stack.layout.ports.nginx) as clients:
            names = [username(number) for number in range(1, sizes.users + 1)]
            stack.run("-m", "loadtest.create_users", str(sizes.users))
            cookies = list(stack.sessions(*names, tickets=True).values())
            return _read(StackUnderTest(stack, clients, cookies, sizes), hint_costs())


def printed(rounds: Sequence[Mapping[str, Mapping[str, float]]], sizes: Sizes) -> str:
    """Return the median of all rounds for each cost, and its spread: half of the difference, as a share of it."""
    date, cores = time.strftime("%Y-%m-%d"), os.cpu_count()
    lines = [f"# `python -m capacity calibrate`, {date}, {cores} cores, {len(rounds)} rounds; {sizes}."]
    spreads: dict[str, float] = {}
    for section, costs in rounds[0].items():
        lines += ["", f"[{section}]"]
        for name in costs:
            values = [each[section][name] for each in rounds]
            middle = statistics.median(values)
            lines.append(f"{name} = {middle:.3g}")
            cost = section if section == "delivery_us" else name
            spreads[cost] = min(1.0, (max(values) - min(values)) / 2 / middle) if middle > 0 else 1.0
    if len(rounds) > 1:
        lines += ["", "[spread]", *(f"{name} = {spread:.2g}" for name, spread in spreads.items())]
    return "\n".join([*lines, ""])


def _read(target: StackUnderTest, hint_us: tuple[float, float]) -> Readings:
    """Measure in this order, because the use at rest and for sockets must be subtracted from later figures."""
    sizes = target.sizes
    visitor = Visitor(target.stack.url, target.cookies[0])
    target.slugs = visitor.slugs
    save_once = visitor.saver(target.slugs[0])
    _warm_up(target, visitor)
    target.rest = target.used(nothing(sizes.rest_seconds)).cores
    target.resting = len(target.clients.sockets)
    tab = [(path, cookie) for cookie in target.cookies for path in (USERS, NOTIFICATIONS)]
    with target.open(tab):
        # With few sockets, each heartbeat wakes a sleeping process, and so do the heartbeats to be subtracted below.
        target.socket = target.each_open(len(tab))
        fan_out = target.measure(lambda: _paced(save_once), sizes.saves // 3)
        with target.open(tab * (sizes.tabs - 1)):
            among_many = target.each_open(len(tab) * sizes.tabs)
    page = target.measure(visitor.next_page, sizes.pages)
    log_in = target.measure(lambda: visitor.log_in(username(1)), sizes.logins)
    save, late = _save(target, save_once)
    plain, present, query, arrival = _handshakes(target)
    edit = _edit(target)
    redis_rest, redis_node = _redis_at_rest(target)
    return Readings(
        nodes=NODES,
        rest=target.rest,
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
        hint_us=hint_us[0],
        hint_us_per_node=hint_us[1],
    )


def _warm_up(target: StackUnderTest, visitor: Visitor) -> None:
    """Load code and fill caches, and let each node follow all topics that nodes follow."""
    for _ in range(WARM_UP_PAGES):
        visitor.next_page()
    for node in target.stack.ws:
        for path in (USERS, LIST, NOTIFICATIONS):
            target.clients.open(path, target.cookies[0], port=node.port)
        for slug, cookie in zip(target.slugs, target.cookies, strict=False):
            target.clients.open(_document(slug, "read"), cookie, port=node.port)
    target.churn(lambda _i: NOTIFICATIONS, lambda _i: target.cookies[0])
    wait_for_presence()


def _save(target: StackUnderTest, save: Callable[[], None]) -> tuple[Mapping[str, float], Counter[float]]:
    """Return the cost of a save, and its event's delays in milliseconds, with hardly any client to receive it."""
    late: Counter[float] = Counter()

    def note(text: bytes) -> None:
        now, message = time.time(), Message(text)
        if message.offset is not None:
            late[(now - message.stamped) * 1000] += 1

    reader = target.clients.open(NOTIFICATIONS, target.cookies[0], note)
    used = target.measure(lambda: _paced(save), target.sizes.saves)
    target.clients.close(reader)
    return used, late


def _handshakes(target: StackUnderTest) -> Sequence[Mapping[str, float]]:
    """Return costs by kind: plain; of a present user; with a database query; of a user that comes and leaves again."""
    # These users read the documents on both nodes, and are on the dashboard for a while.
    slugs = target.slugs
    present_cookies = target.cookies[: len(slugs)]
    others = target.cookies[len(slugs) :]

    def come_and_go() -> None:
        target.churn(lambda i: _document(slugs[i % len(slugs)], "read"), lambda i: others[i % len(others)])
        wait_for_presence()

    plain = target.measure(
        lambda: target.churn(lambda _i: NOTIFICATIONS, lambda i: present_cookies[i % len(present_cookies)])
    )
    with target.open([(USERS, cookie) for cookie in present_cookies]):
        present = target.measure(
            lambda: target.churn(lambda _i: USERS, lambda i: present_cookies[i % len(present_cookies)])
        )
    query = target.measure(
        lambda: target.churn(
            lambda i: _document(slugs[i % len(slugs)], "read"), lambda i: present_cookies[i % len(present_cookies)]
        )
    )
    kinds = (plain, present, query, target.measure(come_and_go))
    return [{name: used / target.sizes.connects for name, used in each.items()} for each in kinds]


def _edit(target: StackUnderTest) -> Mapping[str, float]:
    """Return the cost of a user with an open form, for a second."""
    slugs = target.slugs
    editors = target.cookies[len(slugs) :][: target.sizes.editors]
    with target.open([(_document(slugs[i % len(slugs)], "update"), cookie) for i, cookie in enumerate(editors)]):
        edit = target.measure(nothing(target.sizes.rest_seconds))
    return {name: used / target.sizes.rest_seconds / len(editors) for name, used in edit.items()}


def _redis_at_rest(target: StackUnderTest) -> tuple[float, float]:
    """Return the cost of Redis alone and of each node, from a stack with two nodes at rest, and with one."""
    by_two = target.rest["redis"]
    last = target.stack.ws[-1]
    target.clients.leave(last.port)
    target.stack.stop(last.name)
    by_one = target.used(nothing(target.sizes.rest_seconds)).cores["redis"]
    return by_one - (by_two - by_one), by_two - by_one


def _document(slug: str, phase: str) -> str:
    return f"/ws/document/{slug}/{phase}/"


def _paced(save: Callable[[], None]) -> None:
    """Save, then wait, so that the event can reach all clients before the next save."""
    save()
    time.sleep(BETWEEN_SAVES_SECONDS)
