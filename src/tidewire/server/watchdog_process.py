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
# Shorter than a page waits for the answer to a heartbeat, and longer than any pause of a node that will go on.
STACKS_SECONDS = 15.0
# The node needs a moment to write its stacks.
KILL_SECONDS = 18.0
# `watchdog` has registered it with faulthandler, which needs no GIL: the call that hangs may hold it.
STACKS_SIGNAL = signal.SIGUSR2
# Waits are counted in steps and not by a clock: after a pause of the whole container or machine the clock has moved on,
# and the node, which could not run, has had no time for a heartbeat.
STEP_SECONDS = 0.5


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
            if not _wait_for_heartbeat(STACKS_SECONDS - HANG_SECONDS - RETRY_SECONDS):
                os.write(2, b"tidewire: this node's event loop has hung for 15 s; the stacks of its threads:\n")
                os.kill(node, STACKS_SIGNAL)
            if not _wait_for_heartbeat(KILL_SECONDS - STACKS_SECONDS):
                # The pipe is open, so the parent has not ended, and its number is still its own.
                os.kill(node, signal.SIGKILL)
                return
        if not os.read(HEARTBEATS, 4096):
            return


def _wait_for_heartbeat(seconds: float) -> bool:
    while seconds > 0:
        if select.select([HEARTBEATS], [], [], min(STEP_SECONDS, seconds))[0]:
            return True
        seconds -= STEP_SECONDS
    return False


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
