"""Gunicorn's threads, whose port refuses as soon as they are told to end; a proxy passes over a port that refuses."""

from typing import Any

from gunicorn.workers.gthread import ThreadWorker


class ClosingWorker(ThreadWorker):
    """Gunicorn's own keeps its port for as long as it ends, 2 s and more, and takes nobody in: all who came are reset.

    A save that was sent to it may not be sent again, so the person would see an error.
    """

    sockets: list[Any]

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept or not; once this worker ends, whom the kernel has taken in is served, and nobody comes after."""
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        listeners, self.sockets = self.sockets, []
        for listener in listeners:
            self._accept_all(listener)
            listener.close()

    def _accept_all(self, listener: Any) -> None:
        """Take in everybody who waits. The kernel bounds how many those are (Gunicorn's `backlog`)."""
        before = -1
        while self.nr_conns != before:
            before = self.nr_conns
            self.accept(listener)
