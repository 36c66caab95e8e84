"""Network policies, if the cluster enforces them: the intended connections succeed, and no others."""

import json
import time

import pytest
import yaml

from tests.k8s.cluster.cluster import NAMESPACE
from tests.k8s.reach import MEANT, NAME, OUTSIDE, Flow

# Each represents the product's pods of that name, because policies can only match labels.
ASKERS = ("nginx", "web", "ws", "deletion-cost", "redis", "stranger")
TARGETS = (("web", 8000), ("ws", 8000), ("ws", 8300), ("nginx", 8080), ("redis", 6379), ("postgres", 5432))
# Dropped packets are never answered. A pod that answers does so at once.
SECONDS = 3
# Policies take effect with a delay.
ENFORCED_SECONDS = 20
ASK = f"""
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def reaches(target):
    try:
        socket.create_connection(tuple(target), {SECONDS}).close()
    except OSError:
        return False
    return True
targets = json.loads(sys.argv[1])
print(json.dumps(list(ThreadPoolExecutor(len(targets)).map(reaches, targets))))
"""


def asker(name: str, image: str) -> dict:
    """Return a pod that only sleeps. Without a port of that name, no Service can select it for traffic."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"asks-as-{name}",
            "namespace": OUTSIDE.get(name, NAMESPACE),
            "labels": {NAME: name, "asks": "1"},
        },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "asks",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "3600"],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


@pytest.fixture
def askers(cluster):
    pods = {name: asker(name, cluster.images["tidewire-web"]) for name in ASKERS}
    cluster.apply(yaml.safe_dump_all(pods.values()))
    for pod in pods.values():
        namespace = ("--namespace", pod["metadata"]["namespace"])
        cluster.kubectl(*namespace, "wait", "--for=condition=Ready", f"pod/{pod['metadata']['name']}", "--timeout=60s")
    yield pods
    for namespace in (NAMESPACE, *set(OUTSIDE.values())):
        cluster.kubectl(
            "--namespace", namespace, "delete", "pods", "--selector=asks", "--ignore-not-found", check=False
        )


def reached(cluster, askers) -> set[Flow]:
    """Return the connections that succeed, from every asker to a pod of every target."""
    hosts = {name: _address(cluster, name) for name, _ in TARGETS}
    asked = json.dumps([[hosts[name], port] for name, port in TARGETS])
    flows = set()
    for name, pod in askers.items():
        namespace = ("--namespace", pod["metadata"]["namespace"])
        output = cluster.kubectl(*namespace, "exec", pod["metadata"]["name"], "--", "python", "-c", ASK, asked)
        flows |= {Flow(name, *target) for target, so in zip(TARGETS, json.loads(output), strict=True) if so}
    return flows


def settled(cluster, askers, meant: set[Flow]) -> set[Flow]:
    """Return the same as `reached`, after the result is as intended or the policies had time to take effect."""
    end = time.monotonic() + ENFORCED_SECONDS
    while (flows := reached(cluster, askers)) != meant and time.monotonic() < end:
        pass
    return flows


def _address(cluster, name: str) -> str:
    pods = [pod for pod in cluster.ready(name) if "asks" not in pod["metadata"]["labels"]]
    return str(pods[0]["status"]["podIP"])


def test_nothing_goes_through_but_what_is_meant(cluster, askers, load, note):
    everything = {Flow(name, *target) for name in askers for target in TARGETS}
    assert reached(cluster, askers) == everything, "without policies everybody reaches everybody"
    cluster.become("policies")
    try:
        after = settled(cluster, askers, MEANT & everything)
        if after == everything:
            pytest.skip("k8s: this cluster enforces no network policies")
        note(f"policies: of {len(everything)} connections {len(after)} are made, {len(everything - after)} are not")
        assert after == MEANT & everything
        with load(100) as run:
            run.begin()
            run.catch_up("behind policies")
        run.nothing_lost()
    finally:
        cluster.kubectl("delete", "networkpolicies", "--all")
