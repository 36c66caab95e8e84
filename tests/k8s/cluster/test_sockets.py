"""Sockets while their nodes roll out, drain, die and scale: every event must be accounted for."""

import threading

import pytest

from tidewire.close_codes import CloseCode

SOCKETS = 500
WS = "python -m tidewire -b 0.0.0.0 -p 8000 ws.asgi:application"
ABNORMAL = 1006


def test_presence_is_one_over_all_nodes(cluster, load, note):
    """Sockets of one user are on any node, and all pages must show the same number of users."""
    with load(100) as run:
        run.begin()
        spread = [cluster.sockets(pod) for pod in cluster.ready("ws")]
        run.catch_up("presence")
        note(f"sockets per node {spread}, users counted {run.counts} of {run.people}")
    assert len(spread) == 2
    assert min(spread) >= 40
    assert run.counts == {run.people}
    run.nothing_lost()


def test_a_rolling_update_closes_nobody_without_a_word(cluster, load):
    with load(SOCKETS) as run:
        run.begin()
        cluster.kubectl("rollout", "restart", "deployment/ws")
        cluster.rolled_out("ws")
        run.catch_up("rolling update of ws")
    run.nothing_lost()
    assert set(run.codes) == {CloseCode.DRAINING}
    # Paced over 24 s, a node's half comes back at 10 a second; a stampede would be hundreds.
    assert run.peak < SOCKETS / 4


def test_the_control_without_a_drain_cuts_everybody(cluster, load):
    """A rollout of pods that neither wait nor drain, but die at SIGTERM, shows that the test above can fail."""
    with cluster.careless("ws", WS), load(SOCKETS) as run:
        run.begin()
        cluster.kubectl("rollout", "restart", "deployment/ws")
        cluster.rolled_out("ws")
        run.catch_up("control: no preStop, killed at SIGTERM")
    assert run.codes[ABNORMAL] >= SOCKETS / 2
    # The clients' positions must repair that.
    run.nothing_lost()


def test_a_killed_node_loses_nothing(cluster, load):
    with load(SOCKETS) as run:
        run.begin()
        victim = cluster.ready("ws")[0]["metadata"]["name"]
        cluster.kubectl("delete", "pod", victim, "--grace-period=0", "--force")
        cluster.rolled_out("ws")
        run.catch_up("kill of a ws pod")
    run.nothing_lost()
    assert 0 < run.codes[ABNORMAL] <= SOCKETS * 2 / 3


def test_scaling_down_drains_and_takes_the_emptiest_first(cluster, load, note):
    with load(SOCKETS) as run:
        run.begin()
        cluster.kubectl("scale", "deployment/ws", "--replicas=4")
        cluster.rolled_out("ws")
        old = {pod["metadata"]["name"] for pod in cluster.ready("ws")[:2]}
        new = {pod["metadata"]["name"] for pod in cluster.ready("ws")} - old
        annotation = "controller.kubernetes.io/pod-deletion-cost"

        def costs() -> dict[str, int]:
            pods = cluster.ready("ws")
            annotations = {pod["metadata"]["name"]: pod["metadata"].get("annotations", {}) for pod in pods}
            return {name: int(each.get(annotation, 0)) for name, each in annotations.items()}

        cluster.until(lambda: min(costs()[name] for name in old) > SOCKETS / 4, "the old nodes' costs", 60)
        calls = costs()
        cluster.kubectl("scale", "deployment/ws", "--replicas=2")
        cluster.rolled_out("ws")
        stayed = {pod["metadata"]["name"] for pod in cluster.ready("ws")}
        # Those two nodes had no sockets; the next one has half of all.
        cluster.kubectl("scale", "deployment/ws", "--replicas=1")
        cluster.rolled_out("ws")
        run.catch_up("scale of ws from 2 to 4, to 2, to 1")
        note(f"deletion costs {calls}; stayed {stayed}")
    assert max(calls[name] for name in new) < min(calls[name] for name in old)
    assert stayed == old
    run.nothing_lost()
    assert set(run.codes) == {CloseCode.DRAINING}
    assert run.codes[CloseCode.DRAINING] >= SOCKETS / 4
    cluster.kubectl("scale", "deployment/ws", "--replicas=2")
    cluster.rolled_out("ws")


@pytest.fixture
def two_nodes(cluster):
    """The names of two nodes that accept pods, and which are uncordoned afterwards."""
    nodes = [
        node["metadata"]["name"] for node in cluster.get("nodes")["items"] if not node["spec"].get("unschedulable")
    ]
    if len(nodes) < 2:
        pytest.skip("k8s: a cluster of one node has none to drain")
    yield nodes[:2]
    for node in nodes:
        cluster.kubectl("uncordon", node)


def test_a_node_of_the_cluster_is_drained_within_the_budget(cluster, load, note, two_nodes):
    """Both pods are on that node: the second may only leave after the first is ready elsewhere."""
    stays, goes = two_nodes
    cluster.kubectl("cordon", stays)
    cluster.kubectl("rollout", "restart", "deployment/ws")
    cluster.rolled_out("ws")
    assert {pod["spec"]["nodeName"] for pod in cluster.ready("ws")} == {goes}
    cluster.kubectl("uncordon", stays)
    messages: list[str] = []
    with load(SOCKETS) as run:
        run.begin()
        options = ("--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector=app.kubernetes.io/name=ws")
        drain = threading.Thread(
            target=lambda: messages.append(cluster.kubectl("drain", goes, *options, check=False, timeout_seconds=240))
        )
        drain.start()
        fewest = len(cluster.ready("ws"))
        while drain.is_alive():
            fewest = min(fewest, len(cluster.ready("ws")))
            drain.join(0.2)
        cluster.rolled_out("ws")
        run.catch_up("drain of a node")
    refused = messages[0].count("would violate the pod's disruption budget")
    note(f"never fewer than {fewest} ready; {refused} evictions refused by the budget")
    assert {pod["spec"]["nodeName"] for pod in cluster.ready("ws")} == {stays}
    assert fewest >= 1
    assert refused >= 1
    run.nothing_lost()
    assert set(run.codes) == {CloseCode.DRAINING}


def test_redis_may_be_deleted(cluster, load):
    """Redis loses all data: sockets stay, and pages must reload the lost events."""
    with load(SOCKETS) as run:
        run.begin()
        cluster.kubectl("delete", "pod", "--selector=app.kubernetes.io/name=redis", "--wait=true")
        cluster.rolled_out("redis")
        run.catch_up("deletion of Redis's pod")
    assert not run.codes
    run.nothing_lost()
    assert run.counts == {run.people}
