"""Entry point for Locust: the dashboard's journeys, with the accounts of all that is delivered to them."""

from __future__ import annotations

from loadtest.journeys.editor import Editor
from loadtest.journeys.five_tabs import FiveTabs
from loadtest.journeys.list_reader import ListReader
from loadtest.journeys.mobile import Mobile
from loadtest.journeys.watcher import Watcher
from loadtest.product import LiveUser

__all__ = ["Editor", "FiveTabs", "ListReader", "LiveUser", "Mobile", "Watcher"]
