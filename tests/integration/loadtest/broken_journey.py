"""The load test's file for Locust with a mistake in a journey: a handler of messages expects a field that is none."""

from typing import Any

from loadtest.journeys.dashboard_user import DashboardUser
from loadtest.locustfile import Editor, FiveTabs, ListReader, Mobile, Watcher

__all__ = ["Editor", "FiveTabs", "ListReader", "Mobile", "Watcher"]


def _broken(self: DashboardUser, event: dict[str, Any]) -> None:
    event["no such field"]


ListReader._badges = _broken  # type: ignore[method-assign]
