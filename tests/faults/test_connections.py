"""Faults between browsers and nodes: nginx reloads, clients vanish without a FIN, readers stall."""

import os
import signal
import socket
import time

from deploy.local.layout import LOOPBACK
from testkit.websocket_client import handshake
from tests.faults.crowd import Crowd
from tests.faults.scene import people
from tests.http_client import fetch, metric
from tidewire.conf import Settings

# The directive of nginx for how long an old worker keeps its sockets after a reload.
SHUTDOWN_SECONDS = 6
# Daphne's defaults: the silence before a ping, and the timeout of its answer.
PING_SECONDS, PONG_SECONDS = 20, 30
# Daphne checks every socket at this interval.
CHECK_SECONDS = 2


def reload(stack):
    os.kill(stack.processes["nginx"].pid, signal.SIGHUP)


def test_nginx_reload(start_stack, scene, size):
    """A reload keeps sockets for worker_shutdown_timeout, then aborts them with 1006. A resume must miss nothing."""
    stack = start_stack(ws=2)
    main = stack.layout.run / "nginx" / "nginx.conf"
    words = main.read_text(encoding="utf-8")
    main.write_text(f"worker_shutdown_timeout {SHUTDOWN_SECONDS}s;\n{words}", encoding="utf-8")
    # Workers keep the configuration that they started with.
    reload(stack)
    time.sleep(2.0)
    pages = people(stack, size(250, 30))
    with scene(stack, "nginx reload", pages=pages, per_second=20, order=40) as run:
        began = run.begin("nginx reads its configuration again")
        reload(stack)
        run.until(SHUTDOWN_SECONDS + 1.0)
        run.back()
        run.catch_up()
        closes = [(at - began, code) for diary in run.diaries for at, code in diary.closes if at >= began]
        first = min((at for at, _ in closes), default=0.0)
        run.target(
            f"sockets are kept for worker_shutdown_timeout ({SHUTDOWN_SECONDS} s)",
            first >= SHUTDOWN_SECONDS - 0.5,
            f"the first closed after {first:.1f} s, the last after {max(at for at, _ in closes):.1f} s",
        )
        lost = sum(code == 1006 for _, code in closes)
        run.remark(f"{lost:,} of {len(pages):,} sockets were then closed with 1006: nginx sends no close frame")
        run.nothing_lost()
        run.presence()
        run.counts()
        run.verdict()


def test_half_open(start_stack, scene, size):
    """A ping detects clients that hang without a FIN. Their members leave, and resume when the clients continue."""
    stack = start_stack(ws=2)
    pages = people(stack, size(100, 30))
    frozen = people(stack, size(40, 10), prefix="frozen")
    bound = PING_SECONDS + PONG_SECONDS + CHECK_SECONDS + Settings.GRACE_SECONDS + Settings.TOUCH_SECONDS
    with (
        Crowd(stack, frozen) as sleepers,
        scene(stack, "Half-open TCP: clients vanish without a FIN", pages=pages, per_second=5, order=42) as run,
    ):
        sleepers.connect()
        run.calm(5.0)
        run.begin("forty people's machines stand still")
        os.kill(sleepers.pid, signal.SIGSTOP)
        try:
            run.until(bound + 2.0)
        finally:
            os.kill(sleepers.pid, signal.SIGCONT)
        names = sorted({page.user for page in frozen})
        leavers = {member for _, member in run.watcher.left(run.began)}
        run.row.ghosts = len(set(names) - leavers)
        run.row.ghost_seconds = max((at for at, _ in run.watcher.left(run.began)), default=run.began) - run.began
        run.target(
            f"members gone within ping + pong + check + grace + sweep ({bound:.0f} s)",
            not run.row.ghosts and run.row.ghost_seconds <= bound,
            f"{run.row.ghost_seconds:.1f} s, {len(leavers)} of {len(names)} members",
        )
        run.target("no other member left", leavers <= set(names), sorted(leavers - set(names))[:5] or "none did")
        run.note("they wake")
        sleepers.wait(lambda status: status["disconnected"] == 0, 60.0)
        run.catch_up()
        run.nothing_lost()
        # These clients came after the first events, which are not due to them.
        due = [(each, at) for each, at in run.due if at >= run.began]
        sleepers.wait(lambda status: status["behind"] == 0, 30.0, shown=due[-1][0])
        theirs = sleepers.account(due)
        run.target(
            "a client that wakes has the events of the meantime, once",
            theirs.due and not theirs.lost + theirs.duplicated + theirs.reordered + theirs.not_recovered,
            f"{theirs.received:,} of {theirs.due:,} events at {theirs.clients} sockets",
        )
        run.verdict()


def stall(port, page, count):
    """Open sockets that subscribe and never read, on a node itself: nginx's buffers would take minutes to fill."""
    stalled = []
    for _ in range(count):
        wire = socket.socket()
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.connect((LOOPBACK, port))
        wire.sendall(handshake(f"localhost:{port}", page.path, page.cookie))
        stalled.append(wire)
    return stalled


def test_stalled_readers(start_stack, scene, size):
    """Stalled readers must not affect others, and must be disconnected when their backlog exceeds the limit."""
    stack = start_stack(ws=1)
    pages = people(stack, size(200, 30))
    with scene(stack, "Stalled readers among others", pages=pages, per_second=50, order=44) as run:
        news = [page for page in pages if page.path == "/ws/notifications/"]
        run.span("without", 10.0)
        run.begin("twenty sockets read nothing")
        stalled = stall(stack.ws[0].port, news[0], 20)
        try:
            run.span("with", 45.0)
            disconnected = metric(
                fetch(f"http://{LOOPBACK}:{stack.ws[0].admin_port}/metrics").text, "tidewire_slow_closes_total"
            )
        finally:
            for wire in stalled:
                wire.close()
        run.span("without again", 10.0)
        run.catch_up()
        run.nothing_lost()
        run.presence()
        run.latency_target("with", ("without", "without again"))
        run.target(
            "stalled sockets are disconnected and counted",
            disconnected == len(stalled),
            f"{disconnected:.0f} of {len(stalled)} after 45 s",
        )
        run.verdict()
