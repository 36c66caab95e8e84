"""Run as `python -m loadtest.engine_cost`: measures the generator's cost of a received event, by engine, in turns.

A child process sends events to a number of sockets at an even rate. This process has the clients of a run: sockets,
ledgers, figures and Locust's statistics, but no journeys and no pages. Printed is this process's CPU for each message.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402 - Locust, and all that has sockets, must come after the patching
import base64  # noqa: E402
import hashlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import socket  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from functools import partial  # noqa: E402
from statistics import median  # noqa: E402

import gevent  # noqa: E402
from locust.env import Environment  # noqa: E402

from loadtest.clients.live_socket import LiveSocket  # noqa: E402
from loadtest.clients.socket_readers import ENGINES  # noqa: E402
from loadtest.run.locust_figures import tell_locust  # noqa: E402
from loadtest.run.objectives import Objectives  # noqa: E402
from loadtest.run.run_state import HOLD, Run  # noqa: E402
from testkit.delivery_ledger import Ledger  # noqa: E402

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PATIENCE_SECONDS = 120.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.engine_cost", description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--per-second", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help="be the child: print the port, serve, send, end")
    options = parser.parse_args(arguments)
    if options.serve:
        _serve(options)
        return 0
    costs: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    for _ in range(options.rounds):
        for engine in ENGINES:
            costs[engine].append(_measure(engine, options))
    for engine, found in costs.items():
        each = ", ".join(f"{cost:.1f}" for cost in found)
        sys.stdout.write(f"{engine}: {median(found):.1f} us of CPU for each message (rounds: {each})\n")
    fast, slow = (median(costs[engine]) for engine in ENGINES)
    sys.stdout.write(f"ratio {slow / fast:.1f}\n")
    return 0


def _measure(engine: str, options: argparse.Namespace) -> float:
    command = [sys.executable, "-m", "loadtest.engine_cost", "--serve"]
    given = (("--sockets", options.sockets), ("--events", options.events), ("--per-second", options.per_second))
    command += [str(part) for pair in given for part in pair]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:  # noqa: S603 - fixed
        assert child.stdin
        assert child.stdout
        port = int(child.stdout.readline())
        environment = Environment(events=None)
        run = Run(
            Objectives.read(),
            environment.events.request.fire,
            engine=engine,
            report_many=partial(tell_locust, environment.stats),
        )
        run.enter(HOLD)
        clients = []
        for n in range(options.sockets):
            ledger = Ledger(f"client {n}", late_seconds=run.objectives.late_seconds)
            run.ledgers.append(ledger)
            origin = f"http://127.0.0.1:{port}"
            clients.append(LiveSocket(run, origin, "/ws/notifications/", cookie="", at="e:0", ledger=ledger))
        _wait(lambda: all(ledger.stays for ledger in run.ledgers))
        used = time.process_time()
        child.stdin.write(b"go\n")
        child.stdin.flush()
        _wait(lambda: all(ledger.stays[-1].reached >= options.events for ledger in run.ledgers[-1:]))
        _wait(lambda: all(ledger.stays[-1].reached >= options.events for ledger in run.ledgers))
        run.flush()
        used = time.process_time() - used
        account = run.settle_accounts()
        assert account.arrived == options.sockets * options.events, account
        assert not account.counts, account
        for each in clients:
            each.close()
    return used / account.arrived * 1e6


def _wait(condition: object) -> None:
    assert callable(condition)
    with gevent.Timeout(PATIENCE_SECONDS):
        while not condition():
            gevent.sleep(0.1)


def _serve(options: argparse.Namespace) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=options.sockets)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    clients = [_accept(listener) for _ in range(options.sockets)]
    sys.stdin.readline()
    started = time.monotonic()
    for n in range(1, options.events + 1):
        gevent.sleep(max(0.0, started + n / options.per_second - time.monotonic()))
        data = _frame(_event(n))
        for each in clients:
            each.sendall(data)
    for each in clients:
        each.settimeout(PATIENCE_SECONDS)
        while each.recv(4096):
            pass
    os._exit(0)


def _accept(listener: socket.socket) -> socket.socket:
    client, _ = listener.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        request += client.recv(4096)
    key = next(line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    client.sendall(head + accept + b"\r\n\r\n" + _frame({"type": "resumed", "at": "e:0", "recovered": True}))
    return client


def _event(n: int) -> dict[str, object]:
    return {
        "type": "notification.created",
        "id": f"{n:032x}",
        "offset": n,
        "at": datetime.now(UTC).isoformat(),
        "notification_id": n,
        "actor": "load-00001",
        "verb": "updated",
        "slug": "load-01",
        "title": f"load-01, save {n} of load-00001",
    }


def _frame(event: dict[str, object]) -> bytes:
    body = json.dumps(event, separators=(",", ":")).encode()
    size = bytes([len(body)]) if len(body) < 126 else b"\x7e" + len(body).to_bytes(2, "big")
    return b"\x81" + size + body


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
