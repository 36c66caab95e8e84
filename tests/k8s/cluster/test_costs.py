"""The cost of sockets and deliveries for each pod, from the cluster's own metrics, as a basis for resource requests."""

import json
import time

import pytest

from tests.k8s.cluster.cluster import NAMESPACE

SOCKETS = 500
PER_SECOND = 10.0
# Metrics are averages of windows: wait until none includes the time before.
WINDOW_SECONDS = 30
# The load's publisher runs in its container, so that only the figures without a publisher are its own.
PUBLISHES = "relay"
METRICS = f"/apis/metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods"
UNITS = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def amount(text: str) -> float:
    """Convert a quantity of Kubernetes to cores or bytes."""
    unit = next((unit for unit in UNITS if text.endswith(unit)), "")
    return float(text.removesuffix(unit)) * UNITS.get(unit, 1)


def usage(cluster) -> dict[str, tuple[float, float]]:
    """Return the cores of all pods of each workload, and the MiB of the largest pod."""
    results: dict[str, tuple[float, float]] = {}
    for pod in json.loads(cluster.kubectl("get", "--raw", METRICS))["items"]:
        for container in pod["containers"]:
            cores, mebibytes = results.get(container["name"], (0.0, 0.0))
            used = container["usage"]
            results[container["name"]] = (
                cores + amount(used["cpu"]),
                max(mebibytes, amount(used["memory"]) / UNITS["Mi"]),
            )
    return results


def requested(cluster) -> dict[str, float]:
    """Return the memory request of each workload's container, in MiB."""
    return {
        container["name"]: amount(container["resources"]["requests"]["memory"]) / UNITS["Mi"]
        for workload in cluster.get("deployments,statefulsets")["items"]
        for container in workload["spec"]["template"]["spec"]["containers"]
    }


@pytest.fixture
def metrics(cluster):
    if "NotFound" in (output := cluster.kubectl("get", "--raw", METRICS, check=False)) or "Error" in output:
        pytest.skip("k8s: the cluster has no metrics server")


@pytest.mark.usefixtures("metrics")
def test_what_is_requested_is_what_is_used(cluster, load, note):
    time.sleep(WINDOW_SECONDS)
    idle = usage(cluster)
    with load(SOCKETS, PER_SECOND) as run:
        run.begin()
        time.sleep(WINDOW_SECONDS)
        busy = usage(cluster)
        run.catch_up(f"{WINDOW_SECONDS} s of {PER_SECOND:g} events a second")
    run.nothing_lost()
    deliveries = PER_SECOND * SOCKETS / 2
    asked = requested(cluster)
    assert asked.keys() <= idle.keys() & busy.keys(), "a workload without figures"
    # There may also be init containers, of a pod that was created meanwhile.
    for name in sorted(asked):
        cores, mebibytes = busy[name]
        before = idle[name]
        more = (cores - before[0]) * 1e6 / deliveries
        note(
            f"{name}: {before[0]:.3f} cores idle, {cores:.3f} busy, {more:.1f} us for each of "
            f"{deliveries:g} deliveries/s; {before[1]:.0f} MiB idle, {mebibytes:.0f} busy, {asked[name]:.0f} requested"
        )
    own = busy | {PUBLISHES: idle[PUBLISHES]}
    assert {name for name, mebibytes in asked.items() if own[name][1] > mebibytes} == set()
