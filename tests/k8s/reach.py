"""Connections between pods: the intended ones, and those that NetworkPolicies allow by their documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from deploy.k8s.check.references import WORKLOADS, containers, of, selects

NAME = "app.kubernetes.io/name"
NAMESPACE = "tidewire"
NAMESPACE_NAME = "kubernetes.io/metadata.name"
# Sources outside the product: Prometheus in its namespace, and any other pod in the cluster.
OUTSIDE = {"prometheus": "monitoring", "stranger": "default"}
APPLICATIONS = ("web", "ws", "relay", "migrate")


class Flow(NamedTuple):
    source: str
    target: str
    port: int


# All intended connections. nginx accepts any source, because the installation chooses the proxy that terminates TLS.
MEANT = {
    *(Flow("nginx", target, 8000) for target in ("web", "ws")),
    *(Flow("prometheus", target, 8000) for target in ("web", "ws")),
    *(Flow(source, "ws", 8300) for source in ("prometheus", "deletion-cost")),
    Flow("prometheus", "loadtest-worker", 9646),
    Flow("prometheus", "relay", 8400),
    *(
        Flow(source, target, port)
        for source in (*APPLICATIONS, "loadtest-master")
        for target, port in (("postgres", 5432), ("redis", 6379), ("redis-sentinel", 6379), ("redis-sentinel", 26379))
    ),
    *(Flow("redis-sentinel", "redis-sentinel", port) for port in (6379, 26379)),
    *(Flow(source, "nginx", 8080) for source in (*OUTSIDE, "loadtest-master", "loadtest-worker")),
    *(Flow(source, "loadtest-master", 5557) for source in ("loadtest-master", "loadtest-worker")),
} - {Flow("loadtest-master", "loadtest-master", 5557)}


def workloads(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in of(objects, *WORKLOADS)}


def allowed(objects: list[dict[str, Any]]) -> set[Flow]:
    """Return every connection to an open port that the policies among the objects allow."""
    return {flow for flow in possible(objects) if _out(flow, objects) and _in(flow, objects)}


def possible(objects: list[dict[str, Any]]) -> Iterator[Flow]:
    """Yield every possible connection, except for those between pods of the same workload."""
    present = workloads(objects)
    for source in (*present, *OUTSIDE):
        for target, workload in present.items():
            ports = [port["containerPort"] for each in containers(workload) for port in each.get("ports", [])]
            yield from (Flow(source, target, port) for port in ports if source != target or target == "redis-sentinel")


def _in(flow: Flow, objects: list[dict[str, Any]]) -> bool:
    present = workloads(objects)
    policies = _policies(objects, flow.target, "Ingress")
    rules = [rule for policy in policies for rule in policy["spec"].get("ingress", [])]
    return not policies or any(
        _ports(rule, present[flow.target], flow.port) and _peers(rule.get("from"), flow.source, objects)
        for rule in rules
    )


def _out(flow: Flow, objects: list[dict[str, Any]]) -> bool:
    if flow.source in OUTSIDE:
        return True
    present = workloads(objects)
    policies = _policies(objects, flow.source, "Egress")
    rules = [rule for policy in policies for rule in policy["spec"].get("egress", [])]
    return not policies or any(
        _ports(rule, present[flow.target], flow.port) and _peers(rule.get("to"), flow.target, objects) for rule in rules
    )


def _policies(objects: list[dict[str, Any]], name: str, direction: str) -> list[dict[str, Any]]:
    pod = workloads(objects)[name]
    return [
        each
        for each in of(objects, "NetworkPolicy")
        if direction in each["spec"]["policyTypes"] and selects(each["spec"]["podSelector"], pod)
    ]


def _ports(rule: dict[str, Any], target: dict[str, Any], port: int) -> bool:
    named = {
        each["name"]: each["containerPort"] for container in containers(target) for each in container.get("ports", [])
    }
    asked = [(named.get(each["port"], each["port"]), each.get("protocol", "TCP")) for each in rule.get("ports", [])]
    return "ports" not in rule or (port, "TCP") in asked


def _peers(peers: list[dict[str, Any]] | None, name: str, objects: list[dict[str, Any]]) -> bool:
    if peers is None:
        return True
    namespace = OUTSIDE.get(name, NAMESPACE)
    present = workloads(objects)
    labels = present[name]["spec"]["template"]["metadata"]["labels"] if name in present else {NAME: name}
    pod = {"spec": {"template": {"metadata": {"labels": labels}}}}
    home = {"spec": {"template": {"metadata": {"labels": {NAMESPACE_NAME: namespace}}}}}
    return any(
        (selects(peer["namespaceSelector"], home) if "namespaceSelector" in peer else namespace == NAMESPACE)
        and selects(peer.get("podSelector", {}), pod)
        for peer in peers
    )
