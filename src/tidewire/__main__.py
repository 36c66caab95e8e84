"""`python -m tidewire project.asgi:application`: Daphne's command line, its flags, tidewire's server."""

import asyncio
import sys

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
    try:
        import uvloop
    except ImportError:
        pass
    else:
        # Before daphne.server is imported: it makes its loop at import.
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    from daphne.cli import CommandLineInterface
    from django.core.exceptions import ImproperlyConfigured

    from tidewire.server import TidewireServer

    class Launcher(CommandLineInterface):
        description = "Serve a Channels application with tidewire's fan-out, presence and drain"
        server_class = TidewireServer

    try:
        Launcher().run([*DEFAULTS, *sys.argv[1:]])
    except ImproperlyConfigured as error:
        # The message says what to set; a traceback would hide it.
        sys.exit(f"tidewire did not start: {error}")


if __name__ == "__main__":
    main()
