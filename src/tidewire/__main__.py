"""`python -m tidewire project.asgi:application`: Daphne's command line, its flags, tidewire's server."""

import asyncio
import sys


def main() -> None:
    """Start serving; returns when the process was drained."""
    try:
        import uvloop
    except ImportError:
        pass
    else:
        # Before daphne.server is imported: it makes its loop at import.
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    from daphne.cli import CommandLineInterface

    from tidewire.server import TidewireServer

    class Launcher(CommandLineInterface):
        description = "Serve a Channels application with tidewire's fan-out, presence and drain"
        server_class = TidewireServer

    # Daphne's access log has lines per request; ours are one at connect and one at close.
    Launcher().run(["--verbosity", "0", *sys.argv[1:]])


if __name__ == "__main__":
    main()
