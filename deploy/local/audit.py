"""`python -m deploy.local.audit`: lists known vulnerabilities of the pinned dependencies of web and ws.

The advisories come over the network. If they are unavailable, the audit reports that and does not fail.
"""

from __future__ import annotations

import json
import subprocess
import sys

from deploy.local.layout import ROOT
from deploy.local.venv import VENV

# All requirements of web, ws and relay, in one resolution.
REQUIREMENTS = ROOT / "requirements" / "local.txt"
# Time limit of the whole audit: about one request per package.
TIMEOUT_SECONDS = 180
ANSWER_SECONDS = 5


class NoAdvisories(Exception):
    """The service did not answer, or knows none of the packages; the message has the reason."""


def findings(report: str) -> list[str]:
    """Return a line for each vulnerability in pip-audit's JSON. Raises `NoAdvisories` if no package was looked up."""
    try:
        dependencies = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = report.strip().splitlines() or ["it said nothing"]
        raise NoAdvisories(last[-1]) from None
    if all("skip_reason" in package for package in dependencies):
        raise NoAdvisories(f"the service knows none of {len(dependencies)} packages")
    return [
        f"{package['name']} {package['version']}: {flaw['id']}, "
        f"fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        for package in dependencies
        for flaw in package.get("vulns", ())
    ]


def _ask() -> str:
    command = [str(VENV / "bin" / "pip-audit"), "--progress-spinner=off", "--disable-pip", "--no-deps", "--format=json"]
    command += [f"--timeout={ANSWER_SECONDS}", f"--requirement={REQUIREMENTS}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise NoAdvisories(f"no answer within {TIMEOUT_SECONDS} s") from None
    return done.stdout or done.stderr


def main() -> int:
    """Print the result, and return the exit status."""
    try:
        lines = findings(_ask())
    except NoAdvisories as error:
        print(f"pip-audit: left out, advisories cannot be had here ({error})")
        return 0
    print("pip-audit:", "\n  ".join(lines) or "no known vulnerability")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
