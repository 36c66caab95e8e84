"""Faults as users reported them, one file for each kind. A test that needs the stack or a browser is marked for it."""

from tests.browser.conftest import ada, bob, chromium, cookies, crowd, pytest_configure, seat, shared_chromium

__all__ = ["ada", "bob", "chromium", "cookies", "crowd", "pytest_configure", "seat", "shared_chromium"]
