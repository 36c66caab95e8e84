"""Names the exceptions of the load test's own code, in a user's journey and in any greenlet."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import gevent

from loadtest.run.page_error import PageError
from loadtest.run.run_state import Run

if TYPE_CHECKING:
    # Importing Locust patches the standard library.
    from locust.env import Environment


def name_own_faults(environment: Environment, present_run: Callable[[], Run]) -> None:
    """Record each exception of a user or a greenlet in the present run. A process does this once for all its runs."""

    def user_failed(user_instance: Any, exception: Exception, **_more: Any) -> None:
        # Locust passes the user if its arrival failed, otherwise its set of tasks.
        present_run().user_failed(exception, has_arrived=not hasattr(user_instance, "environment"))

    environment.events.user_error.add_listener(user_failed)  # type: ignore[no-untyped-call] # Locust has no types
    hub = gevent.get_hub()
    handle_error = hub.handle_error

    def greenlet_failed(
        context: Any, kind: type[BaseException], value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Locust raises an exception of an arrival again after it has reported it.
        if isinstance(value, Exception) and not isinstance(value, PageError):
            present_run().broke(value)
        handle_error(context, kind, value, trace)

    hub.handle_error = greenlet_failed
