"""The watchdog's process: closes the listeners of a node that hangs, and kills a node that cannot end itself.

The node writes a heartbeat to standard input at each turn of its event loop; the arguments are the listeners' file
descriptors. `watchdog` starts this file without `site`.
"""

import os
import select
import signal
import socket
import sys

HEARTBEATS = 0
# Longer than any handshake may take, and shorter than the time that a proxy and a page wait for one.
HANG_SECONDS = 3.0
# On a busy machine the watchdog itself may have been delayed, with unread heartbeats in the pipe.
RETRY_SECONDS = 0.5
# A node ends itself after 15 s (watchdog.END_SECONDS) and needs a moment for its stacks. A stopped one cannot.
KILL_SECONDS = 18.0


def main(listeners: list[int]) -> None:
    # Ctrl-C in a terminal and a supervisor's SIGTERM are meant for the node, which closes the pipe when it ends.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    node = os.getppid()
    while True:
        if not (_wait_for_heartbeat(HANG_SECONDS) or _wait_for_heartbeat(RETRY_SECONDS)):
            for listener in listeners:
                _refuse(listener)
            # The node listens again once its event loop runs.
            if not _wait_for_heartbeat(KILL_SECONDS - HANG_SECONDS - RETRY_SECONDS):
                # The pipe is open, so the parent has not ended, and its number is still its own.
                os.kill(node, signal.SIGKILL)
                return
        if not os.read(HEARTBEATS, 4096):
            return


def _wait_for_heartbeat(seconds: float) -> bool:
    return bool(select.select([HEARTBEATS], [], [], seconds)[0])


def _refuse(listener: int) -> None:
    """Refuse new connections, and reset those that the kernel has accepted for the node (Linux)."""
    with socket.socket(fileno=os.dup(listener)) as shared:
        try:
            shared.shutdown(socket.SHUT_RD)
        except OSError:
            # The listener is closed already.
            return


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]])
