"""`python -m tidewire drain`: takes the node on this host out of service, and waits until it has gone."""

import argparse
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

POLL_SECONDS = 0.2


def drain(arguments: Sequence[str]) -> int:
    """Ask the node on this host to drain. Returns the exit status: 0 once it is gone."""
    parser = argparse.ArgumentParser(prog="python -m tidewire drain", description=drain.__doc__)
    parser.add_argument(
        "--admin-port",
        type=int,
        default=int(os.environ.get("TIDEWIRE_ADMIN_PORT", "18300")),
        help="the node's admin port on 127.0.0.1 (default: TIDEWIRE_ADMIN_PORT, else 18300)",
    )
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds to wait until the node has gone")
    given = parser.parse_args(arguments)
    url = f"http://127.0.0.1:{given.admin_port}"
    end = time.monotonic() + given.timeout
    try:
        print(_ask(f"{url}/drain", method="POST"), flush=True)  # noqa: T201  # it talks to a person
    except OSError as error:
        print(f"no node answers on {url}: {error}. Is --admin-port right?")  # noqa: T201
        return 1
    while time.monotonic() < end:
        time.sleep(POLL_SECONDS)
        try:
            _ask(f"{url}/healthz")
        except urllib.error.HTTPError:
            continue
        except OSError:
            print("gone")  # noqa: T201
            return 0
    print(f"still there after {given.timeout} s")  # noqa: T201
    return 1


def _ask(url: str, method: str = "GET") -> str:
    request = urllib.request.Request(url, method=method)  # noqa: S310  # always http://127.0.0.1
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        return str(answer.read().decode().strip())
