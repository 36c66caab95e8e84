"""Sockets open, the autoscaler's own query counts them, and if KEDA is installed, the number of nodes follows."""

import math
import os

import pytest
import yaml

from tests.k8s.cluster.cluster import NAMESPACE
from tests.k8s.cluster.prometheus import IMAGE, PORT, SERVICE, Prometheus, component
from tidewire.close_codes import CloseCode

SOCKETS = 500
# Thresholds with which these few sockets need five nodes, then two.
MANY, FEW = 100, 250
SCRAPED_SECONDS = 60
SCALED_SECONDS = 180


@pytest.fixture(scope="module")
def prometheus(cluster):
    with Prometheus(cluster, os.environ.get("PROMETHEUS_IMAGE", IMAGE)) as running:
        yield running


@pytest.fixture
def scaled():
    """The ScaledObject as it is committed."""
    [scaled_object] = component("autoscaling-connections/ws.yaml")
    scaled_object["metadata"]["namespace"] = NAMESPACE
    return scaled_object


def trigger(scaled: dict) -> dict[str, str]:
    """Return its only trigger: the query to Prometheus, and the threshold per node."""
    [only_trigger] = scaled["spec"]["triggers"]
    return only_trigger["metadata"]


def nodes(value: float, threshold: float, scaled: dict) -> int:
    """Return the number of replicas of a HorizontalPodAutoscaler for a value, as its documentation computes it."""
    spec = scaled["spec"]
    return min(max(math.ceil(value / threshold), spec["minReplicaCount"]), spec["maxReplicaCount"])


def test_the_autoscaler_asks_the_prometheus_that_is_there(scaled):
    host = trigger(scaled)["serverAddress"].removeprefix("http://")
    assert host == f"{SERVICE}.monitoring.svc:{PORT}"


def test_the_query_counts_the_sockets(cluster, prometheus, load, note, scaled):
    """The query must count 0, 500 and 0 sockets in the cluster's Prometheus, through the PodMonitor's port and path."""
    query, threshold = trigger(scaled)["query"], float(trigger(scaled)["threshold"])
    cluster.until(lambda: prometheus.value(query) == 0, "a first scrape, without sockets", SCRAPED_SECONDS)
    with load(SOCKETS) as run:
        run.begin()
        seen = cluster.until(lambda: prometheus.value(query) == SOCKETS, f"{SOCKETS} in the query", SCRAPED_SECONDS)
        value = prometheus.value(query)
        assert value == sum(cluster.sockets(pod) for pod in cluster.ready("ws"))
        run.catch_up("scraped")
    seconds = cluster.until(lambda: prometheus.value(query) == 0, "0 in the query", SCRAPED_SECONDS)
    wanted = {each: nodes(value, each, scaled) for each in (threshold, FEW, MANY)}
    note(f"{query}: 0, then {value:g} after {seen:.0f} s, 0 after {seconds:.0f} s; nodes by threshold {wanted}")
    assert wanted == {threshold: 2, FEW: 2, MANY: 5}
    assert nodes(12_501, threshold, scaled) == 6
    run.nothing_lost()


@pytest.fixture
def keda(cluster):
    if "NotFound" in cluster.kubectl("get", "crd", "scaledobjects.keda.sh", check=False):
        pytest.skip("k8s: the cluster has no KEDA")


@pytest.mark.usefixtures("prometheus", "keda")
def test_nodes_follow_the_sockets(cluster, load, note, scaled):
    """The nodes scale up to five and down to two during the load, and sockets must only be closed by a drain."""
    # Shortened for the test: production has windows of minutes.
    behaviour = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    behaviour["scaleDown"] = {
        "stabilizationWindowSeconds": 5,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}],
    }
    scaled["spec"]["pollingInterval"] = 5

    def wants(threshold: int, count: int) -> float:
        trigger(scaled)["threshold"] = str(threshold)
        cluster.apply(yaml.safe_dump(scaled))
        return cluster.until(lambda: len(cluster.ready("ws")) == count, f"{count} nodes", SCALED_SECONDS)

    try:
        with load(SOCKETS) as run:
            run.begin()
            up = wants(MANY, 5)
            spread = {pod["metadata"]["name"]: cluster.sockets(pod) for pod in cluster.ready("ws")}
            down = wants(FEW, 2)
            cluster.rolled_out("ws")
            run.catch_up(f"KEDA: 2 to 5 nodes in {up:.0f} s, to 2 in {down:.0f} s")
            note(f"sockets per node when there were five: {spread}")
    finally:
        cluster.kubectl("delete", "scaledobject", "ws", "--ignore-not-found")
        cluster.kubectl("scale", "deployment/ws", "--replicas=2")
    cluster.rolled_out("ws")
    run.nothing_lost()
    assert set(run.codes) <= {CloseCode.DRAINING}
