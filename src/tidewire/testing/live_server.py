"""tidewire's server for Django's live-server tests, in a process of its own."""

import json
import os
import pickle  # nosec B403
import select
import subprocess  # nosec B404
import sys
import time
from pathlib import Path
from typing import Any, ClassVar, Final

from django.conf import UserSettingsHolder, settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.functional import classproperty

READY_SECONDS: Final = 60.0
EXIT_SECONDS: Final = 15.0


class _Ready:
    """Stands in for the event of Django's thread: the process waits for itself in `start`."""

    def wait(self) -> bool:
        return True


class ServerProcess:
    """Stands in for `django.test.testcases.LiveServerThread`, by its interface."""

    daemon = True
    is_ready: ClassVar = _Ready()

    def __init__(
        self, host: str, static_handler: Any, connections_override: dict[str, Any] | None = None, port: int = 0
    ) -> None:
        self.host = host
        self.port = port
        self.error: Exception | None = None
        self.connections_override = connections_override or {}
        for alias in self.connections_override:
            raise ImproperlyConfigured(
                f"DATABASES[{alias!r}] is a SQLite in memory, which no other process can read: give it a file for "
                'tests, such as "TEST": {"NAME": BASE_DIR / "test.sqlite3"}'
            )

    def start(self) -> None:
        """Start the process and wait until it serves. A failure is stored in `error`, which Django raises."""
        reading, writing = os.pipe()
        # A fresh interpreter instead of a fork or a spawn: the same on Linux and macOS, whatever this process has done.
        self._process = subprocess.Popen(  # noqa: S603 - this Python, and a file of this package
            [sys.executable, "-P", str(Path(__file__).with_name("server_process.py")), str(writing)],
            stdin=subprocess.PIPE,
            pass_fds=[writing],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        os.close(writing)
        assert self._process.stdin is not None
        try:
            # The pipe stays open: the process ends if this one is killed.
            self._process.stdin.write(pickle.dumps(_options(self.host, self.port)))
            self._process.stdin.flush()
            self.port = self._wait_for_port(reading)
        except Exception as error:  # noqa: BLE001 - Django raises it
            self.error = error
            self._process.kill()
        finally:
            os.close(reading)

    def terminate(self) -> None:
        """End the process as a deployment does: its sockets are closed, and each `disconnect` runs."""
        assert self._process.stdin is not None
        self._process.terminate()
        try:
            self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdin.close()

    def _wait_for_port(self, reading: int) -> int:
        end = time.monotonic() + READY_SECONDS
        while not select.select([reading], [], [], 0.1)[0]:
            if time.monotonic() > end:
                raise RuntimeError(f"the live server does not serve after {READY_SECONDS} s")
        answer = os.read(reading, 100)
        if not answer:
            status = self._process.wait(EXIT_SECONDS)
            raise RuntimeError(f"the live server ended with status {status}; its error stands above")
        return int(json.loads(answer))


class TidewireServerMixin:
    """Lets Django's live-server tests use tidewire's server, so that pages have sockets.

    The server runs in a process of its own, on the test database, with the settings that `override_settings` and
    `modify_settings` have given to the class. It does not see what a test changes later: settings, mocks, and messages
    of a channel layer in memory. A SQLite database must be a file. `live_server_ws_url` is the address for sockets.

    Attributes:
        live_server_url: The address of pages, such as `http://localhost:50123`, as Django sets it.

    Example:
        >>> from django.contrib.staticfiles.testing import StaticLiveServerTestCase
        >>> class ChatTests(TidewireServerMixin, StaticLiveServerTestCase):
        ...     def test_the_page_says_hello(self):
        ...         self.browser.get(self.live_server_url + "/chat/")

    """

    server_thread_class = ServerProcess
    live_server_url: str

    @classproperty
    def live_server_ws_url(cls) -> str:  # noqa: N805  # Django's classproperty passes the class
        """The address for sockets."""
        return str(cls.live_server_url).replace("http", "ws", 1)


def _options(host: str, port: int) -> dict[str, Any]:
    """Return the settings and connections that the process must share, as values that can be pickled."""
    module, values = _settings()
    return {
        "host": host,
        "port": port,
        "path": sys.path,
        "settings_module": module,
        "settings": values,
        "debug": settings.DEBUG,
        # With the suffix of a parallel test run.
        "databases": {alias: connections[alias].settings_dict["NAME"] for alias in connections},
    }


def _settings() -> tuple[str | None, dict[str, Any]]:
    """Return the name of the settings' module, if there is one, and the settings that are set above it."""
    values: dict[str, Any] = {}
    # Django has no public name for the overridden settings.
    holder: Any = vars(settings)["_wrapped"]
    while isinstance(holder, UserSettingsHolder):
        for name, value in vars(holder).items():
            if name.isupper() and name not in values:
                values[name] = _picklable(name, value)
        holder = holder.default_settings
    return getattr(holder, "SETTINGS_MODULE", None), values


def _picklable(name: str, value: Any) -> Any:
    try:
        pickle.dumps(value)
    except Exception as error:
        raise ImproperlyConfigured(
            f"settings.{name} is overridden with a value that cannot be passed to the live server's process ({error})"
        ) from error
    return value
