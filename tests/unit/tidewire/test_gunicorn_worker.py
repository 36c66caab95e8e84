"""A Gunicorn process that ends accepts all queued connections of the kernel, and then closes its port at once."""

import inspect
from collections import deque

import pytest

from tidewire.gunicorn_worker import ClosingWorker


class Listener:
    """A listening socket with this many clients in the kernel's queue."""

    def __init__(self, waiting):
        self.waiting = waiting
        self.closed = False

    def setblocking(self, _flag):
        pass

    def accept(self):
        if not self.waiting:
            raise BlockingIOError(11, "nobody waits")
        self.waiting -= 1
        return Client(), ("127.0.0.1", 1)

    def getsockname(self):
        return ("127.0.0.1", 80)

    def close(self):
        self.closed = True


class Client:
    def setblocking(self, _flag):
        pass


class Poller:
    """Registers nothing."""

    def register(self, *_what):
        pass

    def unregister(self, _what):
        pass


@pytest.fixture
def worker():
    worker = object.__new__(ClosingWorker)
    worker.poller, worker.alive, worker._accepting, worker.nr_conns, worker.cfg = Poller(), True, False, 0, None
    worker.sockets = [Listener(waiting=3)]
    worker.served = deque()
    worker.enqueue_req = worker.served.append
    worker.set_accept_enabled(True)
    return worker


def test_whoever_is_in_the_queue_is_served_and_the_port_closes(worker):
    """Clients in the kernel's queue are already connected, so they must receive a response instead of a reset."""
    [listener] = worker.sockets
    worker.alive = False
    worker.set_accept_enabled(False)
    assert (len(worker.served), worker.nr_conns, listener.waiting, listener.closed) == (3, 3, 0, True)
    assert worker.sockets == []


def test_a_worker_that_is_only_full_keeps_its_port(worker):
    """A worker without free connections stops accepting for a while, and then continues."""
    [listener] = worker.sockets
    worker.set_accept_enabled(False)
    assert (len(worker.served), listener.closed, worker.sockets) == (0, False, [listener])


def test_gunicorn_stops_accepting_only_after_it_is_told_to_end():
    """The class relies on this order: the loop ends by `alive`, calls `set_accept_enabled(False)`, then waits."""
    source = inspect.getsource(ClosingWorker.run)
    loop, ending, linger = (
        source.index(words) for words in ("while self.alive", "set_accept_enabled(False)", "nr_conns > 0")
    )
    assert loop < ending < linger
