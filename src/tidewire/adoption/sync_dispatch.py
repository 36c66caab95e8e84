"""Dispatch of a sync consumer: its handlers run in Django's thread, its messages leave from the event loop."""

import asyncio
import concurrent.futures
import functools
from collections import deque
from typing import Any

from tidewire.adoption.dispatch import Dispatch, Message, Send
from tidewire.adoption.sync_batch import Job, SyncBatch, sync_batch, thread_context
from tidewire.asgi import size_of

# A handler that sends more than this to one client waits until the client has read, as each `send` of Channels does.
QUEUED_BYTES = 1024 * 1024


class ThreadSend:
    """`base_send` of a sync consumer: called in a thread, while the event loop sends.

    A frame of an open socket is queued, so that a client that reads slowly does not stop the thread of all sync
    consumers. Other messages wait until they are sent and raise its error, as in Channels.
    """

    def __init__(self, send: Send, batch: SyncBatch) -> None:
        self._send = send
        self._batch = batch
        self._open = False
        self._queue: deque[tuple[Message, concurrent.futures.Future[None] | None]] = deque()
        # Each is written by one thread only: by the consumer's, and by the event loop.
        self._put_bytes = self._sent_bytes = 0
        self._sending = False
        self._waiter: asyncio.Future[None] | None = None
        self.error: Exception | None = None

    def __call__(self, message: Message) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError("A sync consumer cannot send in the thread of the event loop: call it in another thread")
        if self._open and message["type"] == "websocket.send" and self._put_bytes - self._sent_bytes < QUEUED_BYTES:
            self._put_bytes += size_of(message)
            self._queue.append((message, None))
            self._batch.report(self.changed)
            return
        answer: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._queue.append((message, answer))
        self._batch.report(self.changed)
        answer.result()
        if message["type"] != "websocket.send":
            self._open = message["type"] == "websocket.accept"

    def changed(self) -> None:
        """Wake the task that waits for this consumer's handler; without one, send the frames of another thread."""
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
        elif self._queue and not self._sending:
            self._unattended = asyncio.ensure_future(self.send_queued())
            self._unattended.add_done_callback(lambda _done: self.changed())

    async def wait(self, job: Job) -> None:
        """Send the queue until a job is done and the queue is empty."""
        while True:
            await self.send_queued()
            if job.done and not self._queue:
                return
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def send_queued(self) -> None:
        """Send the queued messages in their order."""
        if self._sending:
            return
        self._sending = True
        try:
            while self._queue:
                message, answer = self._queue.popleft()
                if answer is None:
                    self._sent_bytes += size_of(message)
                try:
                    await self._send(message)
                except Exception as error:  # noqa: BLE001 - raised in the thread, or after the handler
                    if answer is None:
                        self.error = self.error or error
                    else:
                        answer.set_exception(error)
                    continue
                except BaseException:
                    if answer is not None:
                        answer.cancel()
                    raise
                if answer is not None:
                    answer.set_result(None)
        finally:
            self._sending = False

    def close(self) -> None:
        """Release threads that wait for a message that cannot be sent any more."""
        while self._queue:
            _, answer = self._queue.popleft()
            if answer is not None:
                answer.cancel()


class SyncDispatch(Dispatch):
    """Serves one socket with a sync consumer."""

    def __init__(self, consumer: Any, send: Send) -> None:
        super().__init__(consumer, send)
        self._batch = sync_batch()
        self._thread_send = ThreadSend(send, self._batch)
        # The consumer's own: a value that one handler sets is seen by its next, and by no other consumer.
        self._context = thread_context()

    async def serve(self, scope: Message, receive: Any) -> None:
        try:
            await super().serve(scope, receive)
        finally:
            self._thread_send.close()

    def _base_send(self) -> Any:
        return self._thread_send

    async def _handle_of_client(self, message: Message) -> None:
        await self._handle_event(message)

    async def _handle_event(self, message: Message) -> None:
        handler = self._handler(message)
        sender = self._thread_send
        job = Job(functools.partial(handler, message), self._context, sender.changed)
        self._batch.add(job)
        cancelled: asyncio.CancelledError | None = None
        while True:
            try:
                await sender.wait(job)
                break
            except asyncio.CancelledError as error:
                # A thread cannot be stopped: a handler that runs is awaited, as in asgiref.
                cancelled = error
                if not job.started:
                    job.cancelled = True
                    break
        if cancelled is not None:
            raise cancelled
        if job.error is not None:
            raise job.error
        if sender.error is not None:
            raise sender.error
