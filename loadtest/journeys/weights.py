"""The journeys of a run and their weights, if these differ from the journeys' own."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # An import at run time would patch the waiting of everything here.
    from locust import User


def weights(text: str) -> dict[str, int]:
    """Parse `Editor=3,ListReader=1`. Raises `argparse.ArgumentTypeError` with the reason."""
    weight_by_name: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, _, weight = part.partition("=")
        if not name or not weight.isdecimal() or not int(weight):
            raise argparse.ArgumentTypeError(f"{part!r} is not a journey and its weight, as Editor=3")
        if name in weight_by_name:
            raise argparse.ArgumentTypeError(f"{name} is given twice")
        weight_by_name[name] = int(weight)
    return weight_by_name


def formed(text: str) -> str:
    """Return the text if it can be parsed. Raises `argparse.ArgumentTypeError`."""
    weights(text)
    return text


def known(text: str, journeys: Iterable[type[User]]) -> str:
    """Return the text if it names only these journeys. Raises `argparse.ArgumentTypeError`."""
    names = [each.__name__ for each in journeys]
    for name in weights(text):
        if name not in names:
            raise argparse.ArgumentTypeError(f"{name} is no journey; there are {', '.join(names)}")
    return text


def chosen(text: str, journeys: Sequence[type[User]]) -> Sequence[type[User]]:
    """Return the journeys that the text names, with its weights, or all journeys as they are if it names none."""
    wanted = weights(text)
    for journey in journeys:
        journey.weight = wanted.get(journey.__name__, journey.weight)
    return [journey for journey in journeys if not wanted or journey.__name__ in wanted]
