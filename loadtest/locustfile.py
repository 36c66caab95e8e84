"""Entry point for Locust: the dashboard's journeys, with the accounts of all that is delivered to them."""

from __future__ import annotations

from loadtest.journeys.editor import Editor
from loadtest.journeys.readers import FiveTabs, ListReader, Mobile, Watcher
from loadtest.product import LiveUser

__all__ = ["Editor", "FiveTabs", "ListReader", "LiveUser", "Mobile", "Watcher"]
