"""A chat on stock Daphne in a process of its own, and the environment of a user's own commands."""

import contextlib
import os
import socket
import subprocess
import sys
import time

from deploy.local.layout import ROOT, free_port
from deploy.local.processes import tie_to_parent

START_SECONDS = 60.0
JOURNEY = ROOT / "examples" / "chat" / "locustfile.py"


def environment(**more):
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT / "services", ROOT))), **more}


def processes(count):
    """Return Locust's options for so many processes, or none for one. Simultaneous tests need different ports."""
    if count == 1:
        return ()
    port = str(free_port())
    return ("--processes", str(count), "--master-bind-port", port, "--master-port", port)


@contextlib.contextmanager
def chat(application="examples.chat.asgi:application", **variables):
    """Run the chat until the block ends, and yield its address."""
    port = free_port()
    command = [*tie_to_parent(), sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), application]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(**variables), stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
                break
            except OSError:
                assert process.poll() is None, "the chat ended at its start"
                assert time.monotonic() < until, "the chat did not start"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20.0)
