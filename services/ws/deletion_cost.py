"""Keeps the deletion costs of pods current, so that Kubernetes removes the emptiest node first.

Requests the nodes' pods from the API server and the number of sockets from each node's admin port; serves nothing.
"""

import json
import os
import re
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SELECTOR: Final = "app.kubernetes.io/name=ws"
ADMIN_PORT: Final = 8300
# A scale-down is decided over minutes, and each change is a write to the cluster's database.
ROUND_SECONDS: Final = 15.0
TIMEOUT_SECONDS: Final = 5.0
# A smaller difference in sockets does not matter.
MIN_CHANGE: Final = 10
# The cost is an int32 in Kubernetes.
MAX_INT: Final = 2**31 - 1
# Without the proxy that the environment names: both the nodes and the API server are inside the cluster.
NO_PROXY: Final = urllib.request.ProxyHandler({})


@dataclass(frozen=True)
class Pod:
    """A node's pod; `cost` is the last value sent to Kubernetes, or Kubernetes' default of 0."""

    name: str
    address: str
    cost: int

    @classmethod
    def of(cls, pod: dict[str, Any]) -> Self:
        sent = (pod["metadata"].get("annotations") or {}).get(ANNOTATION, "0")
        cost = int(sent) if re.fullmatch(r"-?\d+", sent) else 0
        return cls(pod["metadata"]["name"], pod["status"].get("podIP", ""), cost)


def running_pods(listed: dict[str, Any]) -> list[Pod]:
    """Return the pods of a PodList that have an address and are not being terminated."""
    return [
        Pod.of(pod)
        for pod in listed["items"]
        if pod["status"].get("podIP") and "deletionTimestamp" not in pod["metadata"]
    ]


def sockets(metrics: str) -> int:
    """Return the number of open sockets from metrics in Prometheus's text format."""
    lines = re.findall(r"^tidewire_connections(?:\{.*\})? (\S+)$", metrics, re.MULTILINE)
    return min(int(sum(map(float, lines))), MAX_INT)


def is_significant(pod: Pod, cost: int) -> bool:
    """Return whether the change is a tenth and at least a handful, or the last socket has closed."""
    change = abs(cost - pod.cost)
    return change >= max(MIN_CHANGE, pod.cost // 10) or (cost == 0 and change > 0)


class Cluster:
    """The API server, accessed as the pod's own service account."""

    def __init__(self, url: str, account: Path = ACCOUNT) -> None:
        self._pods = f"{url}/api/v1/namespaces/{(account / 'namespace').read_text(encoding='utf-8')}/pods"
        self._account = account
        authority = account / "ca.crt"
        tls = ssl.create_default_context(cafile=str(authority)) if authority.is_file() else None
        self._direct = urllib.request.build_opener(NO_PROXY, urllib.request.HTTPSHandler(context=tls))

    def pods(self) -> list[Pod]:
        return running_pods(json.loads(self._ask(f"{self._pods}?labelSelector={SELECTOR}")))

    def annotate(self, pod: Pod, cost: int) -> None:
        patch = {"metadata": {"annotations": {ANNOTATION: str(cost)}}}
        self._ask(f"{self._pods}/{pod.name}", patch)

    def _ask(self, url: str, patch: dict[str, Any] | None = None) -> bytes:
        # Read each time, because Kubernetes renews the token within the hour.
        token = (self._account / "token").read_text(encoding="utf-8").strip()
        request = urllib.request.Request(  # noqa: S310 - the cluster's own address
            url,
            json.dumps(patch).encode() if patch else None,
            {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"},
            method="PATCH" if patch else "GET",
        )
        return _read(self._direct, request)


def count(pod: Pod, port: int = ADMIN_PORT) -> int:
    """Request the number of sockets from one node."""
    page = urllib.request.Request(f"http://{pod.address}:{port}/metrics")
    return sockets(_read(urllib.request.build_opener(NO_PROXY), page).decode())


def _read(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> bytes:
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        error.close()
        raise


def update_once(cluster: Cluster, port: int = ADMIN_PORT) -> Iterator[str]:
    """Run one round; yields a line per change and per failure. A node that does not answer keeps its cost.

    Raises OSError for an error of the API server, unless the pod was deleted meanwhile.
    """
    for pod in cluster.pods():
        try:
            cost = count(pod, port)
        except OSError as error:
            yield f"{pod.name} did not answer: {error}"
            continue
        if not is_significant(pod, cost):
            continue
        try:
            cluster.annotate(pod, cost)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
        else:
            yield f"{pod.name}: {pod.cost} -> {cost}"


def main() -> None:
    """Run rounds until SIGTERM. An error of the API server ends the process, so that an operator can see it."""
    # The first process of a container has no default handler for it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    cluster = Cluster(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}")
    while True:
        for line in update_once(cluster):
            print(line, flush=True)  # noqa: T201 - its log
        time.sleep(ROUND_SECONDS)


if __name__ == "__main__":
    main()
