"""Every command block of docs/runbooks, run against the stack: checks also while their service hangs, then repairs."""

import contextlib
import functools
import subprocess
import time

import pytest

from tests.compose.causes import paused
from tests.compose.conftest import ROOT
from tests.compose.test_up import wait_for
from tests.http_client import fetch
from tests.runbooks import commands

pytestmark = pytest.mark.compose

CHECKS = [each for each in commands() if each.kind == "check"]
ACTS = [each for each in commands() if each.kind == "act"]
# A person waits for the output of a check, also on a busy machine.
CHECK_SECONDS = 45.0
ACT_SECONDS = 300.0
HEALTHY_SECONDS = 120.0
# The service that hangs or is gone when the page is opened.
HANGS = {"redis.md": "redis", "postgres.md": "postgres"}
GONE = {"site.md": "nginx"}
# Words of a command that could not do its work, whatever happens to the service that it asks.
IMPOSSIBLE = (
    "not found",
    "No such file",
    "unknown command",
    "unknown flag",
    "no such service",
    "NOPERM",
    "NOAUTH",
    "WRONGPASS",
    "SyntaxError",
    "syntax error",
    "ModuleNotFoundError",
    "\nERROR:  ",
)
# Docker's own events and files that only this machine has.
OUTSIDE = {"docker image prune": "removes images of the whole machine"}


def run(compose, command, seconds):
    """Run a block in this folder, and return its status and output."""
    done = subprocess.run(
        ["sh", "-c", command.text],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**compose.environment, "COMPOSE_PROJECT_NAME": compose.project},
        timeout=seconds,
    )
    output = done.stdout + done.stderr
    assert not [words for words in IMPOSSIBLE if words in output], output[-1500:]
    return done.returncode, output


def healthy(compose):
    """Tell whether everything runs and the site answers."""
    states = [each["State"] for each in compose.running()]
    sick = [each for each in states if each.get("Health", {"Status": "healthy"})["Status"] != "healthy"]
    with contextlib.suppress(OSError):
        return not sick and fetch(f"{compose.url}/login/", timeout_seconds=5).status == 200
    return False


@pytest.mark.parametrize("command", CHECKS, ids=str)
def test_check_works(compose, command):
    code, output = run(compose, command, CHECK_SECONDS)
    assert code == 0, output[-1500:]


@pytest.fixture(scope="module", params=sorted({**HANGS, **GONE}))
def broken(compose, request):
    """The stack while the service of a page hangs or is gone."""
    if service := HANGS.get(request.param):
        mend = paused(service)(compose)
    else:
        compose("stop", GONE[request.param])
        mend = functools.partial(compose, "start", GONE[request.param])
    try:
        time.sleep(3)
        yield request.param
    finally:
        mend()
    wait_for(lambda: healthy(compose), bool, HEALTHY_SECONDS)


def test_checks_end_within_seconds_in_their_incident(compose, broken):
    """Their status may be an error, which is a finding."""
    for command in (each for each in CHECKS if each.page == broken):
        began = time.monotonic()
        run(compose, command, CHECK_SECONDS)
        print(f"{time.monotonic() - began:5.1f} s  {command}")  # noqa: T201 - the report of this test


@pytest.mark.parametrize("command", ACTS, ids=str)
def test_repair_works(compose, command):
    for words, reason in OUTSIDE.items():
        if words in command.text:
            pytest.skip(f"compose: {reason}")
    if "grafana" in command.text and "grafana" not in compose.optional:
        pytest.skip("compose: this machine has no image grafana/grafana and cannot pull one")
    code, output = run(compose, command, ACT_SECONDS)
    assert code == 0, output[-1500:]
    if "compose-rotate" in command.text:
        assert "it is accepted, and the old one is refused" in output
    compose("up", "--detach", "--wait", "--no-recreate", "--scale", "ws=2", "--scale", "web=1")
    wait_for(lambda: healthy(compose), bool, HEALTHY_SECONDS)
