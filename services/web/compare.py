"""Compares two texts line by line, for the conflict page. A pure function, independent of documents and pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from operator import eq

# difflib is cubic at worst: two texts of 1,500 lines can block a thread for 45 s. The size of the table below is the
# product of the numbers of lines between the first and the last difference; this many cells take a quarter of a second.
CELLS = 1_000_000


@dataclass(frozen=True)
class Line:
    text: str
    differs: bool


def compare(yours: str, theirs: str) -> tuple[list[Line], list[Line]]:
    """Return the lines of both texts, each with a flag that is set if the other text has it in the same place."""
    left, right = yours.splitlines(), theirs.splitlines()
    head = _common_start(left, right)
    tail = _common_start(left[head:][::-1], right[head:][::-1])
    pairs = _longest_common(left[head : len(left) - tail], right[head : len(right) - tail])
    return (
        _lines(left, head, tail, {head + i for i, _ in pairs}),
        _lines(right, head, tail, {head + j for _, j in pairs}),
    )


def _common_start(left: Sequence[str], right: Sequence[str]) -> int:
    return sum(takewhile(bool, map(eq, left, right)))


def _lines(lines: list[str], head: int, tail: int, same: set[int]) -> list[Line]:
    middle = range(head, len(lines) - tail)
    return [Line(text, index in middle and index not in same) for index, text in enumerate(lines)]


def _longest_common(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """Return index pairs of the longest common subsequence; none for texts that are too long to compare."""
    if len(left) * len(right) > CELLS:
        return []
    # longest[i][j]: of left[i:] and right[j:].
    longest = [[0] * (len(right) + 1)]
    for text in reversed(left):
        below, row = longest[-1], [0] * (len(right) + 1)
        for j in range(len(right) - 1, -1, -1):
            row[j] = below[j + 1] + 1 if text == right[j] else max(below[j], row[j + 1])
        longest.append(row)
    longest.reverse()

    pairs, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif longest[i + 1][j] >= longest[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs
