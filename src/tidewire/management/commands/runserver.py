"""`manage.py runserver`: Django's development server, which serves the project's ASGI application and its sockets.

The application `tidewire` must stand before `django.contrib.staticfiles` in INSTALLED_APPS: the command of this name
there serves no sockets.
"""

import logging
import os
import signal
import subprocess  # nosec B404
import sys
import time
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.management import CommandError, CommandParser
from django.core.management.commands.runserver import Command as DjangoCommand
from django.db import connections
from django.utils import autoreload
from django.utils.module_loading import import_string

from tidewire.project import prepared

if TYPE_CHECKING:
    from tidewire.server.development import DevelopmentServer

logger = logging.getLogger("django.channels.server")

# Django's exit status for a change of the code.
CHANGED = 3
# Time for a process to close its sockets before it is killed.
END_SECONDS = 10.0
# A terminal sends Ctrl-C to both processes. Without a terminal it is passed on after this time.
TERMINAL_SECONDS = 1.0
POLL_SECONDS = 0.2


class Command(DjangoCommand):
    help = "Serve the ASGI application of this project, and start again when its code changes."
    # Set by Django's command.
    addr: str
    port: str
    _raw_ipv6: bool
    _server: "DevelopmentServer | None" = None

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--debug-frames", action="store_true", help="Print each WebSocket frame, secrets masked.")
        if apps.is_installed("django.contrib.staticfiles"):
            parser.add_argument(
                "--nostatic", action="store_false", dest="use_static_handler", help="Serve no static files."
            )
            parser.add_argument(
                "--insecure",
                action="store_true",
                dest="insecure_serving",
                help="Serve static files even if DEBUG is False.",
            )

    def handle(self, *args: Any, **options: Any) -> None:
        if not getattr(settings, "ASGI_APPLICATION", None):
            raise CommandError('settings.ASGI_APPLICATION is missing: set it to "project.asgi.application".')
        if find_spec("daphne") is None:
            raise CommandError("the server needs daphne, which is not installed: pip install 'tidewire[daphne]'")
        super().handle(*args, **options)

    def run(self, **options: Any) -> None:
        if not options["use_reloader"]:
            self.inner_run(None, **options)
        elif os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true":
            try:
                autoreload.run_with_reloader(self.inner_run, **options)
            finally:
                # The code has changed, or a signal has arrived. The thread of the server would be cut off.
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, signal.SIG_IGN)
                if self._server is not None:
                    self._server.end()
        else:
            sys.exit(_run_again_when_changed())

    def inner_run(self, *args: Any, **options: Any) -> None:
        autoreload.raise_last_exception()
        if not options["skip_checks"]:
            self.stdout.write("Performing system checks...\n\n")
            self.check(display_num_errors=True)
        self.check_migrations()
        for connection in connections.all(initialized_only=True):
            connection.close()
        server = self._create_server(options)
        self._server = server
        self._greet()
        server.run()
        if server.abort_start:
            # The reason was printed. In a thread, `sys.exit` would end the thread only.
            self.stdout.flush()
            os._exit(1)

    def _create_server(self, options: dict[str, Any]) -> "DevelopmentServer":
        from daphne.endpoints import build_endpoint_description_strings  # noqa: PLC0415  # an extra

        from tidewire.server.development import DevelopmentServer  # noqa: PLC0415  # as above
        from tidewire.server.frame_log import LoggedProtocol  # noqa: PLC0415  # as above
        from tidewire.server.protocol import DirectProtocol  # noqa: PLC0415  # as above

        # An import that fails raises its own error, so that the reloader waits for a change of the file that it names.
        application = prepared(import_string(getattr(settings, "ASGI_APPLICATION")))  # noqa: B009  # Channels' setting
        if options.get("use_static_handler") and (settings.DEBUG or options["insecure_serving"]):
            application = ASGIStaticFilesHandler(application)
        return DevelopmentServer(
            application,
            build_endpoint_description_strings(host=self.addr, port=int(self.port)),
            in_thread=options["use_reloader"],
            protocol=LoggedProtocol if options["debug_frames"] else DirectProtocol,
            action_logger=self._log_action,
            root_path=getattr(settings, "FORCE_SCRIPT_NAME", "") or "",
        )

    def _greet(self) -> None:
        address = f"[{self.addr}]" if self._raw_ipv6 else self.addr
        key = "CTRL-BREAK" if sys.platform == "win32" else "CONTROL-C"
        self.stdout.write(
            f"{datetime.now().astimezone():%B %d, %Y - %X}\n"
            f"Django version {self.get_version()}, using settings {settings.SETTINGS_MODULE!r}\n"
            f"tidewire serves pages and sockets at {self.protocol}://{address}:{self.port}/ (for development only)\n"
            f"Quit the server with {key}."
        )

    def _log_action(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        if protocol == "websocket":
            logger.info("WebSocket %s %s [%s]", action.upper(), details["path"], details["client"])
        elif action == "complete":
            status = details["status"]
            level = logging.ERROR if status >= 500 else logging.WARNING if status >= 400 else logging.INFO
            message = "HTTP %(method)s %(path)s %(status)s [%(time_taken).2f, %(client)s]"
            style = self.style.HTTP_SUCCESS if level == logging.INFO else self.style.HTTP_BAD_REQUEST
            logger.log(level, style(message), details)


def _run_again_when_changed() -> int:
    """Run this command in a process of its own, again after each change of the code, and return its exit status.

    Django's function kills the process on SIGTERM at once, and on Ctrl-C after 0.25 s: no `disconnect` handler runs.
    """
    environment = {**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"}
    arguments = autoreload.get_child_arguments()
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: signals.append(number))
    while not signals:
        process = subprocess.Popen(arguments, env=environment, close_fds=False)  # noqa: S603  # this command itself
        ended_at = None
        while (status := _wait(process)) is None:
            if not signals:
                continue
            ended_at = ended_at or time.monotonic()
            waited = time.monotonic() - ended_at
            if waited > END_SECONDS:
                process.kill()
            elif signal.SIGTERM in signals or waited > TERMINAL_SECONDS:
                process.terminate()
        if status != CHANGED:
            return 0 if signals else status
    return 0


def _wait(process: "subprocess.Popen[bytes]") -> int | None:
    """Return the exit status of a process that ends soon, else None."""
    try:
        return process.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return None
