"""The server of `manage.py runserver`: no watchdog, and an orderly end at each change of the code."""

import dataclasses
import threading
from typing import Any, Final

import daphne.server

from tidewire.conf import server_settings
from tidewire.server.all_sockets import AllSockets
from tidewire.server.daphne import TidewireServer
from tidewire.server.drain import Drainer

# Sockets may take this long to close; a reload should not be slower.
DRAIN_SECONDS: Final = 3.0
# The time of a drain, and of the features and the presence that are handed over after it.
END_SECONDS: Final = 6.0


class DevelopmentServer(TidewireServer):
    """Serves in the thread of Django's autoreload, or in the main thread.

    It has no watchdog and does not end a process that hangs: it may wait at a breakpoint.
    """

    def __init__(self, *arguments: Any, in_thread: bool, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_thread = in_thread
        self._ended = threading.Event()

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._ended.set()

    def end(self) -> None:
        """Close all sockets with a reconnect code and stop, from another thread. Returns once it has stopped."""
        if not self._ended.is_set():
            # The reactor that Daphne has installed: Twisted would install another if it were asked first.
            daphne.server.reactor.callFromThread(self._on_signal)
            self._ended.wait(END_SECONDS)

    def _handle_signals(self) -> None:
        # In a thread Python has no signals: the main thread calls `end`.
        if not self._in_thread:
            super()._handle_signals()

    def _create_drainer(self) -> Drainer:
        options = dataclasses.replace(server_settings(), DRAIN_SECONDS=DRAIN_SECONDS)
        return Drainer(AllSockets(self.foreign, options), stop_listening=self.stop_listening, paced=False)

    def _supervise(self) -> None:
        """Nothing watches the loop."""
