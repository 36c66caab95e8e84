"""The one error of a measurement."""


class CannotMeasure(Exception):
    """The message names the reason and the remedy, in one line."""
