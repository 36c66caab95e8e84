"""The numbers among the options of a run, whether of `python -m loadtest`, of Locust or of Locust's page."""

from __future__ import annotations

import argparse
import math

ABOVE_ZERO = (
    *("users", "num_users", "spawn_rate", "seconds", "hold_seconds", "pace"),
    *("login_rate", "logins_at_once", "nodes"),
)
AT_LEAST_ZERO = ("workers", "step_users")


def check_numbers(options: argparse.Namespace) -> None:
    """Raise `ValueError` for the first number that no run can have. None and absent options are none."""
    for name in (*ABOVE_ZERO, *AT_LEAST_ZERO):
        value = getattr(options, name, None)
        if value is None or 0 < value < math.inf or (value == 0 and name in AT_LEAST_ZERO):
            continue
        option = "--users" if name == "num_users" else f"--{name.replace('_', '-')}"
        raise ValueError(f"{option} must be {'at least' if name in AT_LEAST_ZERO else 'above'} 0, and is {value:g}")
