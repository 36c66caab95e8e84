"""Where the bench finds and keeps things. All it writes but the document is under var/bench."""

from __future__ import annotations

from typing import Final

from deploy.local.layout import LOOPBACK, ROOT

HERE: Final = ROOT / "loadtest" / "bench"
VAR: Final = ROOT / "var" / "bench"
LOGS: Final = VAR / "log"
NODE: Final = VAR / "node"
DATABASE: Final = VAR / "bench.sqlite3"
# A request header for each user: the session as pages have had it for ever, and with tidewire's ticket beside it.
SESSIONS: Final = VAR / "sessions.txt"
TICKETS: Final = VAR / "tickets.txt"
# The position of the revocations that the tickets name, and with which each Redis of the bench begins.
REVOCATIONS_AT: Final = "be7c:0"
DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
PLOTS: Final = ROOT / "docs" / "benchmarks"

__all__ = ["DATABASE", "DOCUMENT", "HERE", "LOGS", "LOOPBACK", "NODE", "PLOTS", "ROOT", "SESSIONS", "TICKETS", "VAR"]
