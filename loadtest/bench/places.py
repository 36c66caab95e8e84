"""Where the bench finds and keeps things. All it writes but the document is under var/bench."""

from __future__ import annotations

from typing import Final

from deploy.local.layout import LOOPBACK, ROOT

HERE: Final = ROOT / "loadtest" / "bench"
VAR: Final = ROOT / "var" / "bench"
LOGS: Final = VAR / "log"
NODE: Final = VAR / "node"
DATABASE: Final = VAR / "bench.sqlite3"
COOKIES: Final = VAR / "cookies.txt"
DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
PLOTS: Final = ROOT / "docs" / "benchmarks"

__all__ = ["COOKIES", "DATABASE", "DOCUMENT", "HERE", "LOGS", "LOOPBACK", "NODE", "PLOTS", "ROOT", "VAR"]
