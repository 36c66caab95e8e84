"""`make autobahn`: the Autobahn WebSocket test suite against tidewire's server, direct and through its nginx.

The suite needs Python 2.7. If Python 2.7 or the suite is not available, this prints the reason and counts as skipped.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from deploy.local.layout import ROOT
from tests.stack import Stack, StackFactory, why_not

HERE = Path(__file__).parent
SUITE = ROOT / "var" / "autobahn" / "suite"
REPORTS = ROOT / "var" / "autobahn" / "reports"
NO_PYTHON = "the suite needs Python 2.7 with pip: PYTHON2=path, or a pyenv that has 2.7.18"
INSTALL_SECONDS = 300
# Both take 106 s on two idle cores; a busy machine may take longer.
RUN_SECONDS = 1200
# Like its script, from a directory with namespace packages that only `site` can find.
WSTEST = f"import site; site.addsitedir({str(SUITE)!r}); from autobahntestsuite.wstest import run; run()"
# Group 9 sends 16 MB at once. In Daphne's options, zero means no limit.
NO_BOUNDS = ("--websocket-max-message-size", "0", "--websocket-max-frame-size", "0")
FAILED = {"FAILED", "WRONG CODE", "UNCLEAN"}


def main(cases: list[str]) -> int:
    python = find_python()
    reason = why_not() or (install(python) if python else NO_PYTHON)
    if python is None or reason:
        print(f"skipped: {reason}")
        return 0
    with tempfile.TemporaryDirectory() as directory, echo_stack(Path(directory)) as stack:
        servers = {
            "direct": f"ws://127.0.0.1:{stack.ws[0].port}/ws/echo/",
            "nginx": f"{stack.ws_url}/ws/echo/",
        }
        run(python, servers, cases)
    return report(json.loads((REPORTS / "index.json").read_text()), tuple(servers))


def find_python() -> str | None:
    """Return a Python 2.7 with pip, if there is one."""
    for name in (os.environ.get("PYTHON2", ""), "python2.7", "python2"):
        path = shutil.which(name) if name else None
        asked = [path, "-c", "import pip, sys; sys.exit(sys.version_info[:2] != (2, 7))"]
        if path and subprocess.run(asked, env=environment(), capture_output=True, check=False).returncode == 0:
            return path
    return None


def environment() -> dict[str, str]:
    """Return the environment of the suite's Python; pyenv's shims need the version."""
    return {"PYENV_VERSION": "2.7.18", **os.environ, "PYTHONPATH": str(SUITE), "PYTHONWARNINGS": "ignore"}


def install(python: str) -> str:
    """Install the pinned suite into its own directory, once. Return the reason of a failure, or an empty string."""
    pins = (HERE / "requirements.txt").read_text()
    stamp = SUITE / ".installed"
    if stamp.exists() and stamp.read_text() == pins:
        return ""
    shutil.rmtree(SUITE, ignore_errors=True)
    command = [python, "-m", "pip", "install", "--quiet", "--target", str(SUITE), "-r", str(HERE / "requirements.txt")]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
    )
    if done.returncode:
        return f"the suite could not be installed: {done.stderr.strip()[-300:]}"
    stamp.write_text(pins)
    return ""


def echo_stack(directory: Path) -> Stack:
    """Return a stack with one ws process, which serves the echo application."""
    stack = StackFactory(directory)(ws=1)
    node = stack.ws[0]
    swap = {"ws.asgi:application": "tests.autobahn.echo:application"}
    command = [swap.get(part, part) for part in node.definition.command]
    node.definition = dataclasses.replace(node.definition, command=[*command, *NO_BOUNDS])
    return stack


def run(python: str, servers: dict[str, str], cases: list[str]) -> None:
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    spec = json.loads((HERE / "spec.json").read_text())
    spec |= {
        "cases": cases or spec["cases"],
        "outdir": str(REPORTS),
        "servers": [{"agent": name, "url": url, "options": {"version": 18}} for name, url in servers.items()],
    }
    path = REPORTS / "spec.json"
    path.write_text(json.dumps(spec))
    command = [python, "-c", WSTEST, "--mode", "fuzzingclient", "--spec", str(path)]
    with (REPORTS / "wstest.log").open("wb") as log:
        subprocess.run(command, cwd=REPORTS, env=environment(), stdout=log, stderr=log, check=True, timeout=RUN_SECONDS)


def report(results: dict[str, Any], wanted: tuple[str, ...]) -> int:
    """Print counts by result, and every failure. Return 1 if there is one, or if a server was not tested."""
    failures = [f"{name}: was not tested" for name in wanted if not results.get(name)]
    for name, cases in results.items():
        counts = Counter(case["behavior"] for case in cases.values())
        print(
            f"{name}: {len(cases)} cases: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
        )
        failures += [
            f"{name} {number}: {case['behavior']}, close {case['behaviorClose']}"
            for number, case in cases.items()
            if FAILED & {case["behavior"], case["behaviorClose"]}
        ]
    print("\n".join(failures) if failures else f"no failure; reports in {REPORTS.relative_to(ROOT)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
