"""Two texts line by line, for the conflict page. Pure; knows no document and no page."""

from dataclasses import dataclass
from difflib import SequenceMatcher

# The matcher is quadratic in the worst case: past this the page shows both texts without marks, at once.
LINES_COMPARED = 1500


@dataclass(frozen=True)
class Line:
    text: str
    differs: bool


def compare(yours: str, theirs: str) -> tuple[list[Line], list[Line]]:
    """Every line of both texts, in order, and whether the other text has it too. Nothing is left out."""
    left, right = yours.splitlines(), theirs.splitlines()
    same_left: set[int] = set()
    same_right: set[int] = set()
    if len(left) <= LINES_COMPARED and len(right) <= LINES_COMPARED:
        for block in SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks():
            same_left.update(range(block.a, block.a + block.size))
            same_right.update(range(block.b, block.b + block.size))
    else:
        same_left.update(range(len(left)))
        same_right.update(range(len(right)))
    return _lines(left, same_left), _lines(right, same_right)


def _lines(lines: list[str], same: set[int]) -> list[Line]:
    return [Line(text, index not in same) for index, text in enumerate(lines)]
