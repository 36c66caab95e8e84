"""Keeps the deletion costs of pods current, so that Kubernetes takes the emptiest node away first.

It asks the API server for the nodes' pods and each node's admin port for its sockets; it serves nothing.
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
# So many sockets more or less decide nothing.
WORTH_TELLING: Final = 10
# The cost is an int32 for Kubernetes.
MOST: Final = 2**31 - 1


@dataclass(frozen=True)
class Pod:
    """A node's pod; `cost` is what Kubernetes was told last, 0 if nothing, as Kubernetes takes it."""

    name: str
    address: str
    cost: int

    @classmethod
    def of(cls, found: dict[str, Any]) -> Self:
        told = (found["metadata"].get("annotations") or {}).get(ANNOTATION, "0")
        cost = int(told) if re.fullmatch(r"-?\d+", told) else 0
        return cls(found["metadata"]["name"], found["status"].get("podIP", ""), cost)


def living(listed: dict[str, Any]) -> list[Pod]:
    """The pods of a PodList that have an address and are not on their way out."""
    return [
        Pod.of(found)
        for found in listed["items"]
        if found["status"].get("podIP") and "deletionTimestamp" not in found["metadata"]
    ]


def sockets(metrics: str) -> int:
    """How many sockets a page in Prometheus's text says are open."""
    lines = re.findall(r"^tidewire_connections(?:\{.*\})? (\S+)$", metrics, re.MULTILINE)
    return min(int(sum(map(float, lines))), MOST)


def worth_telling(pod: Pod, cost: int) -> bool:
    """A tenth more or less, and never a handful; but always when the last socket has gone."""
    change = abs(cost - pod.cost)
    return change >= max(WORTH_TELLING, pod.cost // 10) or (cost == 0 and change > 0)


class Cluster:
    """The API server, as the pod's own service account."""

    def __init__(self, url: str, account: Path = ACCOUNT) -> None:
        self._pods = f"{url}/api/v1/namespaces/{(account / 'namespace').read_text(encoding='utf-8')}/pods"
        self._account = account
        authority = account / "ca.crt"
        self._tls = ssl.create_default_context(cafile=str(authority)) if authority.is_file() else None

    def pods(self) -> list[Pod]:
        return living(json.loads(self._ask(f"{self._pods}?labelSelector={SELECTOR}")))

    def tell(self, pod: Pod, cost: int) -> None:
        patch = {"metadata": {"annotations": {ANNOTATION: str(cost)}}}
        self._ask(f"{self._pods}/{pod.name}", patch)

    def _ask(self, url: str, patch: dict[str, Any] | None = None) -> bytes:
        # Read each time: Kubernetes renews it within the hour.
        token = (self._account / "token").read_text(encoding="utf-8").strip()
        request = urllib.request.Request(  # noqa: S310 - the cluster's own address
            url,
            json.dumps(patch).encode() if patch else None,
            {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"},
            method="PATCH" if patch else "GET",
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=self._tls) as answer:  # noqa: S310
            return bytes(answer.read())


def count(pod: Pod, port: int = ADMIN_PORT) -> int:
    """Ask one node how many sockets it has."""
    with urllib.request.urlopen(f"http://{pod.address}:{port}/metrics", timeout=TIMEOUT_SECONDS) as answer:
        return sockets(answer.read().decode())


def once(cluster: Cluster, port: int = ADMIN_PORT) -> Iterator[str]:
    """One round; says what it told and who did not answer. A node that does not answer keeps the cost it has.

    Raises OSError for what the API server refuses, unless the pod has gone meanwhile.
    """
    for pod in cluster.pods():
        try:
            cost = count(pod, port)
        except OSError as error:
            yield f"{pod.name} did not answer: {error}"
            continue
        if not worth_telling(pod, cost):
            continue
        try:
            cluster.tell(pod, cost)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
        else:
            yield f"{pod.name}: {pod.cost} -> {cost}"


def main() -> None:
    """Round after round until SIGTERM. What the API server refuses ends the process, so that somebody sees it."""
    # The first process of a container has no default for it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    cluster = Cluster(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}")
    while True:
        for said in once(cluster):
            print(said, flush=True)  # noqa: T201 - its log
        time.sleep(ROUND_SECONDS)


if __name__ == "__main__":
    main()
