"""A log line for each refused handshake, with its reason; a flood of refusals is summed up.

`tidewire_connects_total` and `tidewire_limit_rejections_total` count all of them.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

__all__ = ["RefusalLog", "log_refusal"]

logger = logging.getLogger(__name__)

# Enough to see the refused clients and the reasons, and little beside the lines of accepted sockets.
LINES_PER_PERIOD = 5
PERIOD_SECONDS = 10.0


class RefusalLog:
    """Logs refusals, at most `LINES_PER_PERIOD` of each reason in `PERIOD_SECONDS`.

    Args:
        clock: Returns seconds, as `time.monotonic` does.

    Example:
        >>> log = RefusalLog()
        >>> log("origin", detail="'https://evil.example' for host 'docs.example.com'", request_id="5f2a")

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # By reason: the start of the period, the lines in it, and the refusals since the last line.
        self._periods: dict[str, tuple[float, int, int]] = {}

    def __call__(self, reason: str, detail: str = "", **fields: Any) -> None:
        """Log a refusal.

        Args:
            reason: One of a closed set: a close code's name, a limit's name, or `origin`.
            detail: What a reader needs besides. Text of a client must be quoted and short.
            fields: What identifies the handshake: `request_id`, `user`, `consumer`; never an address or a user's name.
                Empty values are left out.

        """
        now = self._clock()
        began, lines, skipped = self._periods.get(reason, (now, 0, 0))
        if now - began >= PERIOD_SECONDS:
            began, lines = now, 0
        if lines >= LINES_PER_PERIOD:
            self._periods[reason] = (began, lines, skipped + 1)
            return
        self._periods[reason] = (began, lines + 1, 0)
        told = {name: value for name, value in fields.items() if value}
        if skipped:
            told["more_before"] = skipped
        text = f"{reason}, {detail}" if detail else reason
        logger.warning("handshake refused: %s", text, extra={"reason": reason, **told})


log_refusal = RefusalLog()
