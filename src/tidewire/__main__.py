"""`python -m tidewire project.asgi:application`: Daphne's command line, its flags, tidewire's server."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

# Defaults that differ from Daphne's; the command line can override them. Daphne's access log has lines per request,
# while tidewire logs one line at connect and one at close. In a storm of reconnects a handshake may have to queue for
# longer than Daphne's 5 s. Pings keep Daphne's interval of 20 s, because nginx closes an idle socket after twice that
# time (deploy/nginx). A plain request must be answered within 30 s, which is nginx's timeout for a page; Daphne has no
# deadline for it.
DEFAULTS = ("--verbosity", "0", "--websocket_connect_timeout", "20", "--http-timeout", "30")


def main() -> None:
    """Start serving; return once the process is drained. With `drain` as the first argument, drain a node instead."""
    if sys.argv[1:2] == ["drain"]:
        from tidewire.server.drain_command import drain

        sys.exit(drain(sys.argv[2:]))
    from django.core.exceptions import ImproperlyConfigured

    from tidewire.versions import require_packages

    try:
        # Checked before any import that may fail with an older package.
        require_packages()
    except ImproperlyConfigured as error:
        sys.exit(f"tidewire did not start: {error}")
    _install_uvloop()
    from daphne.cli import CommandLineInterface

    from tidewire.server.daphne import TidewireServer

    class Launcher(CommandLineInterface):
        description = "Serve a Channels application with tidewire's fan-out, presence and drain"
        server_class = TidewireServer

    try:
        Launcher().run([*DEFAULTS, *sys.argv[1:]])
    except ImproperlyConfigured as error:
        # The message names the setting to change; a traceback would hide it.
        sys.exit(f"tidewire did not start: {error}")


def _install_uvloop() -> None:
    """Run Twisted's reactor on uvloop if uvloop is installed.

    Must be called before `daphne.server` is imported: Daphne uses an asyncio reactor that is already installed and
    otherwise installs one on asyncio's own event loop.
    """
    try:
        import uvloop
    except ImportError:
        return
    from twisted.internet import asyncioreactor

    loop = uvloop.new_event_loop()
    if threads := os.environ.get("ASGI_THREADS"):
        # Daphne does the same for the loop that it creates.
        loop.set_default_executor(ThreadPoolExecutor(max_workers=int(threads)))
    asyncioreactor.install(loop)  # type: ignore[no-untyped-call]  # Twisted has no types here


if __name__ == "__main__":
    main()
