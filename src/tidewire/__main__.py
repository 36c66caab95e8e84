"""`python -m tidewire project.asgi:application`: Daphne's command line, its flags, tidewire's server."""

import functools
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# Defaults that differ from Daphne's; the command line can override them. Daphne's access log has lines per request,
# while tidewire logs one line at connect and one at close. In a storm of reconnects a handshake may have to queue for
# longer than Daphne's 5 s. Pings keep Daphne's interval of 20 s, because nginx closes an idle socket after twice that
# time (deploy/nginx).
DEFAULTS = ("--verbosity", "0", "--websocket_connect_timeout", "20")


def main() -> None:
    """Start serving, and return once the process is drained; or run a command: `drain`, `bench` or `init`."""
    if sys.argv[1:2] == ["drain"]:
        from tidewire.server.drain_command import drain

        sys.exit(drain(sys.argv[2:]))
    if sys.argv[1:2] == ["bench"]:
        sys.exit(_bench(sys.argv[2:]))
    if sys.argv[1:2] == ["init"]:
        from tidewire.kit.command import init

        sys.exit(init(sys.argv[2:]))
    from django.core.exceptions import ImproperlyConfigured

    from tidewire.versions import require_packages

    try:
        # Checked before any import that may fail with an older package.
        require_packages()
        _install_uvloop()
        _launch([*DEFAULTS, *sys.argv[1:]])
    except ImproperlyConfigured as error:
        # The message names the setting to change; a traceback would hide it.
        sys.exit(f"tidewire did not start: {error}")


def _bench(arguments: Sequence[str]) -> int:
    try:
        from tidewire.bench.command import main as bench
    except ModuleNotFoundError as error:
        if error.name not in ("psutil", "websockets"):
            raise
        sys.exit(f"tidewire bench needs {error.name}, which is not installed: pip install 'tidewire[daphne,bench]'")
    return bench(arguments)


def _launch(arguments: Sequence[str]) -> None:
    from django.core.exceptions import ImproperlyConfigured

    try:
        from daphne.cli import CommandLineInterface

        from tidewire.server.daphne import TidewireServer
        from tidewire.server.frame_log import LoggedProtocol
        from tidewire.server.protocol import DirectProtocol
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("daphne", "twisted", "autobahn"):
            raise
        raise ImproperlyConfigured(
            f"the server needs {error.name}, which is not installed: pip install 'tidewire[daphne]'"
        ) from error

    class Launcher(CommandLineInterface):
        description = (
            "Serve a Channels application with tidewire's dispatch, drain and metrics. "
            "`tidewire drain` drains a server, `tidewire bench` measures consumers: see the --help of each."
        )

        def __init__(self) -> None:
            super().__init__()
            self.parser.prog = "tidewire"
            self.parser.add_argument(
                "--admin-port", type=int, help="Port of health and metrics (default: the setting ADMIN_PORT, else none)"
            )
            self.parser.add_argument("--admin-host", help="Its address (default: the setting ADMIN_HOST: 127.0.0.1)")
            self.parser.add_argument(
                "--debug-frames", action="store_true", help="Print each WebSocket frame, with secrets masked"
            )

        def run(self, args: Sequence[str]) -> None:
            options = self.parser.parse_args(args)
            self.server_class = functools.partial(
                TidewireServer,
                admin=(options.admin_host, options.admin_port),
                protocol=LoggedProtocol if options.debug_frames else DirectProtocol,
            )
            super().run(args)

        def load_asgi_app(self, asgi_app_path: str) -> Any:
            from tidewire.project import load_application

            return load_application(asgi_app_path)

    Launcher().run(arguments)


def _install_uvloop() -> None:
    """Run Twisted's reactor on uvloop if uvloop is installed.

    Must be called before `daphne.server` is imported: Daphne uses an asyncio reactor that is already installed and
    otherwise installs one on asyncio's own event loop.
    """
    try:
        import uvloop
        from twisted.internet import asyncioreactor
    except ImportError:
        return
    loop = uvloop.new_event_loop()
    if threads := os.environ.get("ASGI_THREADS"):
        # Daphne does the same for the loop that it creates.
        loop.set_default_executor(ThreadPoolExecutor(max_workers=int(threads)))
    asyncioreactor.install(loop)  # type: ignore[no-untyped-call]  # Twisted has no types here


if __name__ == "__main__":
    main()
