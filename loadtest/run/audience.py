"""Published times audience, counted from pages alone, and the events that clients read. Knows no ledger."""

from __future__ import annotations

from collections import Counter

from testkit.publications import Publications

Position = tuple[str, int]


class Audience:
    """Every page that shows the stream, from the position that it was rendered with until it is left."""

    def __init__(self) -> None:
        self._open: Counter[Position] = Counter()
        self._left: list[tuple[float, Position]] = []
        # Events offered to pages that were left, as far as these were counted.
        self._offered_to_left = 0
        # Events that the clients of such pages read, each as often as it arrived.
        self.read = 0

    def opened(self, position: Position) -> None:
        self._open[position] += 1

    def left(self, position: Position, at: float) -> None:
        self._open[position] -= 1
        self._left.append((at, position))

    def count_left(self, publications: Publications, *, before: float) -> None:
        """Count the pages that were left before a time, when all events until then are known."""
        waiting = []
        for at, position in self._left:
            if at < before:
                self._offered_to_left += publications.offered(*position, at)
            else:
                waiting.append((at, position))
        self._left = waiting
        self._open += Counter()

    def offered(self, publications: Publications) -> int:
        """Return the number of events published while each page was open, over all pages."""
        open_pages = sum(pages * publications.offered(*position) for position, pages in self._open.items())
        left = sum(publications.offered(*position, at) for at, position in self._left)
        return self._offered_to_left + open_pages + left
