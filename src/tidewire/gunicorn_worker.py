"""Gunicorn's thread worker with a port that closes at once on shutdown, so that a proxy tries another host."""

from typing import Any

from gunicorn.workers.gthread import ThreadWorker


class ClosingWorker(ThreadWorker):
    """Gunicorn's own worker keeps its port open during its shutdown of 2 s and more, and resets new connections.

    A save sent on such a connection must not be retried by a proxy, so the user would see an error.
    """

    sockets: list[Any]

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept connections or not; a worker that shuts down first serves those that the kernel has accepted."""
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        listeners, self.sockets = self.sockets, []
        for listener in listeners:
            self._accept_all(listener)
            listener.close()

    def _accept_all(self, listener: Any) -> None:
        """Accept all waiting connections. The kernel limits their number (Gunicorn's `backlog`)."""
        before = -1
        while self.nr_conns != before:
            before = self.nr_conns
            self.accept(listener)
