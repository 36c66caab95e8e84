"""The paths of the bench. Except for the document, all that it writes is under var/bench."""

from __future__ import annotations

from typing import Final

from deploy.local.layout import LOOPBACK, ROOT

HERE: Final = ROOT / "bench"
VAR: Final = ROOT / "var" / "bench"
LOGS: Final = VAR / "log"
NODE: Final = VAR / "node"
DATABASE: Final = VAR / "bench.sqlite3"
# A request header for each user: with the session's cookie alone, and with tidewire's ticket beside it.
SESSIONS: Final = VAR / "sessions.txt"
TICKETS: Final = VAR / "tickets.txt"
# The position of revocations that the tickets contain, at which each Redis of the bench must begin.
REVOCATIONS_AT: Final = "be7c:0"
DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
PLOTS: Final = ROOT / "docs" / "benchmarks"

__all__ = ["DATABASE", "DOCUMENT", "HERE", "LOGS", "LOOPBACK", "NODE", "PLOTS", "ROOT", "SESSIONS", "TICKETS", "VAR"]
