"""The sentry's own process: closes the listeners of a node that stands still. Run by `tidewire.sentry`, without site.

Standard input has a beat each time the node's loop turns; the arguments are the listeners' file descriptors.
"""

import os
import select
import signal
import socket
import sys

BEATS = 0
# Longer than any handshake may take, shorter than what a proxy and a page wait for one.
SILENCE_SECONDS = 3.0
# On a busy machine it may be the sentry that was kept from running, and the beat is waiting to be read.
AGAIN_SECONDS = 0.5


def main(listeners: list[int]) -> None:
    # A terminal's Ctrl-C and a supervisor's SIGTERM are for the node, whose end closes the pipe.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        if not (_beats(SILENCE_SECONDS) or _beats(AGAIN_SECONDS)):
            for listener in listeners:
                _refuse(listener)
            # The node listens again by itself when its loop turns.
        if not os.read(BEATS, 4096):
            return


def _beats(seconds: float) -> bool:
    return bool(select.select([BEATS], [], [], seconds)[0])


def _refuse(listener: int) -> None:
    """Refuse new connections, and reset those that the kernel took for the node (Linux)."""
    with socket.socket(fileno=os.dup(listener)) as shared:
        try:
            shared.shutdown(socket.SHUT_RD)
        except OSError:
            # Refused already.
            return


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]])
