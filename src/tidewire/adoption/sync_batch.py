"""The handlers of sync consumers, run in Django's thread: all that wait at one time in one change of threads."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import SyncToAsync
from channels.db import database_sync_to_async

from tidewire.adoption.contexts import restore_context

_batches: "WeakKeyDictionary[asyncio.AbstractEventLoop, SyncBatch]" = WeakKeyDictionary()


class Job:
    """A call of a handler, in the context of its consumer. `changed` is called in the event loop once it is done."""

    __slots__ = ("_call", "_context", "cancelled", "changed", "done", "error", "started")

    def __init__(self, call: Callable[[], Any], context: contextvars.Context, changed: Callable[[], None]) -> None:
        self._call = call
        self._context = context
        self.changed = changed
        self.started = self.done = self.cancelled = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Call the handler. Called in Django's thread."""
        self.started = True
        try:
            self._context.run(self._run_in_context)
        except BaseException as error:  # noqa: BLE001 - raised to its own consumer, and to no other of the batch
            self.error = error

    def _run_in_context(self) -> None:
        # As asgiref does for a single call, so that values of `asgiref.local.Local` are visible in the thread.
        restore_context(self._context)
        self._call()


class SyncBatch:
    """The waiting jobs of an event loop. A job that is done is reported while later ones still run."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Job] = []
        self._task: asyncio.Task[None] | None = None
        self._changes: deque[Callable[[], None]] = deque()
        self._reporting = False

    def add(self, job: Job) -> None:
        """Run a job soon, after those that were added before it."""
        self._waiting.append(job)
        if self._task is None:
            # With an empty context, because a batch belongs to many consumers.
            self._task = self._loop.create_task(self._run(), context=contextvars.Context())

    def report(self, changed: Callable[[], None]) -> None:
        """Call `changed` in the event loop. May be called in any thread; many calls wake the loop once."""
        self._changes.append(changed)
        if not self._reporting:
            self._reporting = True
            self._loop.call_soon_threadsafe(self._report)

    def _report(self) -> None:
        self._reporting = False
        while self._changes:
            self._changes.popleft()()

    async def _run(self) -> None:
        try:
            while self._waiting:
                jobs, self._waiting = self._waiting, []
                try:
                    # Closes old database connections before and after, as Channels does for each single event.
                    await database_sync_to_async(self._run_in_thread)(jobs)
                except BaseException as error:
                    for job in (*jobs, *self._waiting):
                        self._give_up(job, error)
                    if not isinstance(error, Exception):
                        raise
        finally:
            self._task = None

    def _run_in_thread(self, jobs: list[Job]) -> None:
        for job in jobs:
            if not job.cancelled:
                job.run()
            job.done = True
            self.report(job.changed)

    def _give_up(self, job: Job, error: BaseException) -> None:
        if not job.done:
            job.error, job.done = RuntimeError(f"no thread could run a sync consumer: {error}"), True
            job.changed()


def sync_batch() -> SyncBatch:
    """Return the batch of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _batches:
        _batches[loop] = SyncBatch(loop)
    return _batches[loop]


def thread_context() -> contextvars.Context:
    """Return a copy of the current context for a consumer's handlers in the thread, as asgiref makes for a call."""
    context = contextvars.copy_context()
    context.run(SyncToAsync.deadlock_context.set, True)
    return context


def has_own_thread() -> bool:
    """Return whether asgiref would run the calls of this task in a thread of its own, as in some tests."""
    return SyncToAsync.thread_sensitive_context.get(None) is not None
