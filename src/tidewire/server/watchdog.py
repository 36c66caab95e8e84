"""The watchdog: refuses new connections while the node's event loop hangs, and ends a node that hangs for longer.

The kernel accepts connections for a process that is stopped, or busy for seconds with one call, so a proxy would wait
for them until its read timeout. A process beside the node therefore closes the listener. A refused connection is
retried on another node at once; open sockets are not affected.

If the loop does not turn for 15 s, its sockets are lost to their users. The node then writes the stacks of its threads
to standard error, and the watchdog kills it, so that the pages reconnect elsewhere and a supervisor starts it again.
Where there is no such process, the node exits with 1 by itself (`EndOfHang`).
"""

import asyncio
import faulthandler
import logging
import os
import socket
import subprocess  # nosec B404
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tidewire.server.watchdog_process import STACKS_SIGNAL

logger = logging.getLogger(__name__)

# Several heartbeats fit into the silence after which the watchdog assumes a hang.
HEARTBEAT_SECONDS = 0.5
# As watchdog_process.STACKS_SECONDS; by a clock, so that a pause of the whole machine may count as a hang.
END_SECONDS = 15.0


class EndOfHang:
    """Ends this process if its event loop does not turn for `END_SECONDS`, without a process beside it.

    Done by a thread of Python's own that needs no GIL: the call that hangs may hold it.
    """

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def postpone(self) -> None:
        """Begin, and begin again at each heartbeat."""
        faulthandler.dump_traceback_later(END_SECONDS, exit=True)
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_SECONDS, self.postpone)

    def stop(self) -> None:
        """Let the process hang for as long as it likes, because it ends."""
        if self._timer is not None:
            self._timer.cancel()
        faulthandler.cancel_dump_traceback_later()


class Watchdog:
    """Monitors one node. `ports` are Twisted's listening TCP ports; `otherwise` is called if no process can watch."""

    def __init__(self, ports: Sequence[Any], *, otherwise: Callable[[], None]) -> None:
        self._ports = ports
        self._otherwise = otherwise
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the process. If it cannot start, the node serves without it."""
        listeners = [port.socket.fileno() for port in self._ports]
        program = Path(__file__).with_name("watchdog_process.py")
        faulthandler.register(STACKS_SIGNAL, all_threads=True)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this Python, a file of this package, and numbers
                [sys.executable, "-I", "-S", str(program), *map(str, listeners)],
                stdin=subprocess.PIPE,
                pass_fds=listeners,
                start_new_session=True,
            )
        except OSError as error:
            logger.warning("no watchdog process: while this node hangs, new sockets wait for it: %s", error)
            self._otherwise()
            return
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        for port in self._ports:
            port.doRead = self._accepting(port, port.doRead)
        self._send_heartbeat()

    def stop(self) -> None:
        """End the process, because its copies of the listeners would keep them open."""
        process, self._process = self._process, None
        if self._timer is not None:
            self._timer.cancel()
        if process is not None and process.stdin is not None:
            process.kill()
            process.wait()
            process.stdin.close()

    def _send_heartbeat(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            os.write(self._process.stdin.fileno(), b".")
        except BlockingIOError:
            # The pipe is full, so the watchdog has heartbeats to read.
            pass
        except BrokenPipeError:
            logger.warning("the watchdog has ended: while this node hangs, new sockets wait for it")
            self.stop()
            self._otherwise()
            return
        for port in self._ports:
            self._listen_again(port)
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_SECONDS, self._send_heartbeat)

    def _accepting(self, port: Any, accept: Any) -> Any:
        def accept_or_listen() -> None:
            if not self._listen_again(port):
                accept()

        return accept_or_listen

    def _listen_again(self, port: Any) -> bool:
        if self._process is None or port.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        port.socket.listen(port.backlog)
        logger.warning("this node hung for seconds, and refused new sockets meanwhile")
        return True
