"""Faults as users reported them: one file for each kind. A test that needs the stack or a browser is marked for it."""

from pathlib import Path

import pytest

from tests.browser.conftest import ada, bob, chromium, cookies, crowd, seat

__all__ = ["ada", "bob", "chromium", "cookies", "crowd", "seat"]

STACK = {"stack", "start_stack", "stack_factory"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if not item.path.is_relative_to(here):
            continue
        needs = set(getattr(item, "fixturenames", ()))
        if "chromium" in needs:
            item.add_marker(pytest.mark.browser)
        elif needs & STACK:
            item.add_marker(pytest.mark.integration)
