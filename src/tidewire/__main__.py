"""`python -m tidewire project.asgi:application`: Daphne's command line, its flags, tidewire's server."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

# Defaults that differ from Daphne's, and may be given again. Its access log has lines per request; ours are one at
# connect and one at close. In a storm of reconnects a handshake may wait in line for longer than its 5 s. Pings keep
# Daphne's interval of 20 s: nginx closes a socket that carries nothing for twice as long (deploy/nginx). A plain
# request is answered within 30 s, as nginx waits for a page; Daphne has no deadline of its own.
DEFAULTS = ("--verbosity", "0", "--websocket_connect_timeout", "20", "--http-timeout", "30")


def main() -> None:
    """Start serving; returns when the process was drained. `drain` as the first word drains one instead."""
    if sys.argv[1:2] == ["drain"]:
        from tidewire.drain_command import drain

        sys.exit(drain(sys.argv[2:]))
    from django.core.exceptions import ImproperlyConfigured

    from tidewire.versions import require_packages

    try:
        # Before anything is imported that an older one may lack.
        require_packages()
    except ImproperlyConfigured as error:
        sys.exit(f"tidewire did not start: {error}")
    _install_uvloop()
    from daphne.cli import CommandLineInterface

    from tidewire.server import TidewireServer

    class Launcher(CommandLineInterface):
        description = "Serve a Channels application with tidewire's fan-out, presence and drain"
        server_class = TidewireServer

    try:
        Launcher().run([*DEFAULTS, *sys.argv[1:]])
    except ImproperlyConfigured as error:
        # The message says what to set; a traceback would hide it.
        sys.exit(f"tidewire did not start: {error}")


def _install_uvloop() -> None:
    """Run Twisted's reactor on uvloop if that is installed. Call before `daphne.server` is imported.

    Daphne keeps an asyncio reactor that it finds and otherwise makes one, on asyncio's own event loop.
    """
    try:
        import uvloop
    except ImportError:
        return
    from twisted.internet import asyncioreactor

    loop = uvloop.new_event_loop()
    if threads := os.environ.get("ASGI_THREADS"):
        # Daphne does the same to the loop that it makes.
        loop.set_default_executor(ThreadPoolExecutor(max_workers=int(threads)))
    asyncioreactor.install(loop)  # type: ignore[no-untyped-call]  # Twisted has no types here


if __name__ == "__main__":
    main()
