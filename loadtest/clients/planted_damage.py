"""The planted faults of a run at one client, between the wire and its ledger. Opens no socket."""

from __future__ import annotations

from collections.abc import Callable

import gevent
from gevent import Greenlet

from loadtest.run.planted_faults import PlantedFaults
from loadtest.run.run_state import HOLD, Run


class PlantedDamage:
    """`receive` takes the messages that are left, and `is_late` decides whether an event is late by now."""

    def __init__(
        self,
        run: Run,
        planted: PlantedFaults,
        client: str,
        *,
        receive: Callable[[bytes], None],
        is_late: Callable[[bytes], bool],
    ) -> None:
        self._run = run
        self._planted = planted
        self._client = client
        self._receive = receive
        self._is_late = is_late
        # Releases the events that a planted fault delays.
        self._release_later: Greenlet | None = None

    def take(self, data: bytes) -> None:
        """Receive an event of the account, which a planted fault may change."""
        delay, texts = self._planted.damage(self._client, data, may_begin=self._run.phase == HOLD)
        if delay:
            self._release_later = gevent.spawn_later(delay, self._release_delayed)
        for text in texts:
            self._receive(text)

    def give_up(self) -> None:
        """Leave a planted fault to another client unless its damage is final, and discard its messages."""
        if self._release_later is not None:
            self._release_later.kill(block=False)
            self._release_later = None
        self._planted.socket_ended(self._client)

    def undo(self) -> None:
        """Receive the events that a planted fault still holds, because a page that is left must not lose them by it.

        Events that are late by now are late: their fault is done.
        """
        for data in self._planted.page_left(self._client, self._is_late):
            self._receive(data)

    def _release_delayed(self) -> None:
        self._release_later = None
        for data in self._planted.release(self._client):
            self._receive(data)
