"""`python -m tidewire drain`: takes the node on this host out of service, and waits until its process has ended."""

import argparse
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

from tidewire.addresses import host_name, port_number

POLL_SECONDS = 0.2
# Without the proxy that the environment names, because the node is on this host.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def drain(arguments: Sequence[str]) -> int:
    """Ask the node on this host to drain. Returns the exit status: 0 if its process has ended."""
    parser = argparse.ArgumentParser(prog="python -m tidewire drain", description=drain.__doc__)
    # Defaults are texts, so that argparse validates them like given values.
    parser.add_argument(
        "--admin-port",
        type=_port,
        default=os.environ.get("TIDEWIRE_ADMIN_PORT") or "18300",
        help="the node's admin port (default: TIDEWIRE_ADMIN_PORT, else 18300)",
    )
    parser.add_argument(
        "--admin-host",
        type=_host,
        default=os.environ.get("TIDEWIRE_ADMIN_HOST") or "127.0.0.1",
        help="the address of that port, on this host (default: TIDEWIRE_ADMIN_HOST, else 127.0.0.1)",
    )
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds to wait until the node has gone")
    options = parser.parse_args(arguments)
    url = f"http://{options.admin_host}:{options.admin_port}"
    end = time.monotonic() + options.timeout
    try:
        print(_ask(f"{url}/drain", method="POST"), flush=True)  # noqa: T201  # output for an operator
    except OSError as error:
        print(f"no node answers on {url}: {error}. Is --admin-port right?")  # noqa: T201
        return 1
    while time.monotonic() < end:
        time.sleep(POLL_SECONDS)
        try:
            _ask(f"{url}/healthz")
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            print("gone")  # noqa: T201
            return 0
    print(f"still there after {options.timeout} s")  # noqa: T201
    return 1


def _port(text: str) -> int:
    try:
        return port_number(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, not {text!r}") from None


def _host(text: str) -> str:
    """Return the host to connect to for a node that listens on `text`; for all addresses, the loopback address."""
    try:
        return {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host := host_name(text), host)  # noqa: S104 - compared
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, not {text!r}") from None


def _ask(url: str, method: str = "GET") -> str:
    request = urllib.request.Request(url, method=method)  # noqa: S310  # always http://
    with _DIRECT.open(request, timeout=5) as answer:
        return str(answer.read().decode().strip())
