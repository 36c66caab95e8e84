"""Which journeys a run has and how many of its users go on each, where that is not as the journeys themselves say."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Imported, it would change how everything here waits.
    from locust import User


def weights(text: str) -> dict[str, int]:
    """Of `Editor=3,ListReader=1`. Raises `argparse.ArgumentTypeError`, which says what is wrong."""
    found: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, _, weight = part.partition("=")
        if not name or not weight.isdecimal() or not int(weight):
            raise argparse.ArgumentTypeError(f"{part!r} is not a journey and its weight, as Editor=3")
        if name in found:
            raise argparse.ArgumentTypeError(f"{name} is given twice")
        found[name] = int(weight)
    return found


def formed(text: str) -> str:
    """The text as it is, if it can be read. Raises `argparse.ArgumentTypeError`."""
    weights(text)
    return text


def known(text: str, journeys: Iterable[type[User]]) -> str:
    """The text as it is, if it names these journeys alone. Raises `argparse.ArgumentTypeError`."""
    names = [each.__name__ for each in journeys]
    for name in weights(text):
        if name not in names:
            raise argparse.ArgumentTypeError(f"{name} is no journey; there are {', '.join(names)}")
    return text


def chosen(text: str, journeys: Sequence[type[User]]) -> Sequence[type[User]]:
    """Those that the text names, with its weights; all of them as they are where it names none."""
    wanted = weights(text)
    for journey in journeys:
        journey.weight = wanted.get(journey.__name__, journey.weight)
    return [journey for journey in journeys if not wanted or journey.__name__ in wanted]
