"""The one error of a measurement."""


class CannotMeasure(Exception):
    """The message names the reason and what to do, in one line."""
