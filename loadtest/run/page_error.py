"""The exception of a page that a journey cannot use, which is a fault of the product and not of the load test."""

from __future__ import annotations


class PageError(Exception):
    """A page is not the one that a journey needs, lacks its form, or was refused.

    `is_counted` if the request itself has failed; otherwise Locust took the answer for a good one.
    """

    def __init__(self, words: str, *, name: str = "", is_counted: bool = False) -> None:
        super().__init__(words)
        self.name = name
        self.is_counted = is_counted
