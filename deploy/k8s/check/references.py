"""Checks each reference of an object to another: the name, label or port must exist. configuration.py has more."""
# ruff: noqa: INP001 - deploy/ is no package

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

Object = Mapping[str, Any]
PORT_NAME_LENGTH = 15
ALLOWED = {"deletion-cost": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]}]}
CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding")
WORKLOADS = ("Deployment", "StatefulSet", "Job")


def problems(objects: list[dict[str, Any]]) -> Iterator[str]:
    yield from _names(objects)
    yield from _selectors(objects)
    yield from _ports(objects)
    yield from _accounts(objects)
    yield from _scaling(objects)
    yield from _upstreams(objects)


def of(objects: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [manifest for manifest in objects if manifest["kind"] in kinds]


def title(manifest: Object) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def pod(workload: Object) -> dict[str, Any]:
    return dict(workload["spec"]["template"]["spec"])


def containers(workload: Object) -> list[dict[str, Any]]:
    spec = pod(workload)
    return [*spec.get("initContainers", []), *spec["containers"]]


def selects(selector: Object, workload: Object) -> bool:
    labels = workload["spec"]["template"]["metadata"]["labels"]
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )


def _names(objects: list[dict[str, Any]]) -> Iterator[str]:
    counted = Counter((title(manifest), manifest["metadata"].get("namespace")) for manifest in objects)
    yield from (f"{name}: there are {count} of that name" for (name, _), count in counted.items() if count > 1)
    yield from (
        f"{title(manifest)}: is in no namespace"
        for manifest in objects
        if manifest["kind"] != "Namespace" and not manifest["metadata"].get("namespace")
    )


def _selectors(objects: list[dict[str, Any]]) -> Iterator[str]:
    workloads = of(objects, *WORKLOADS)
    for workload in of(objects, "Deployment", "StatefulSet"):
        if not selects(workload["spec"]["selector"], workload):
            yield f"{title(workload)}: its selector does not match its own pods"
    for manifest in of(objects, "Service", "PodDisruptionBudget", "PodMonitor"):
        selector = manifest["spec"]["selector"]
        selector = {"matchLabels": selector} if manifest["kind"] == "Service" else selector
        if not any(selects(selector, workload) for workload in workloads):
            yield f"{title(manifest)}: its selector matches no pod"
    for manifest in of(objects, "PodDisruptionBudget"):
        if {"minAvailable", "maxUnavailable"} <= set(manifest["spec"]):
            yield f"{title(manifest)}: minAvailable and maxUnavailable exclude each other"


def _ports(objects: list[dict[str, Any]]) -> Iterator[str]:
    workloads = of(objects, *WORKLOADS)
    yield from _probed(workloads)
    for manifest, selector, port in _port_users(objects):
        for workload in workloads:
            if selects(selector, workload) and port not in _open(workload):
                yield f"{title(manifest)}: {title(workload)} has no port {port}"
    services = {each["metadata"]["name"]: each for each in of(objects, "Service")}
    for manifest, name, port in _backends(objects):
        service = services.get(name)
        if service is None:
            yield f"{title(manifest)}: there is no Service {name}"
        elif port not in {value for each in service["spec"]["ports"] for value in (each["name"], each["port"])}:
            yield f"{title(manifest)}: Service {name} has no port {port}"


def _probed(workloads: list[dict[str, Any]]) -> Iterator[str]:
    for workload in workloads:
        for container in containers(workload):
            named = {port["name"] for port in container.get("ports", [])}
            yield from (
                f"{title(workload)}: port name {name} is over {PORT_NAME_LENGTH} characters"
                for name in named
                if len(name) > PORT_NAME_LENGTH
            )
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                ask = container.get(probe, {})
                port = (ask.get("httpGet") or ask.get("tcpSocket") or {}).get("port")
                if isinstance(port, str) and port not in named:
                    yield f"{title(workload)}: {probe} asks port {port}, there are {sorted(named)}"


def _open(workload: Object) -> set[Any]:
    ports = [port for container in containers(workload) for port in container.get("ports", [])]
    return {port["name"] for port in ports} | {port["containerPort"] for port in ports}


def _port_users(objects: list[dict[str, Any]]) -> Iterator[tuple[Object, Object, Any]]:
    for service in of(objects, "Service"):
        for port in service["spec"]["ports"]:
            yield service, {"matchLabels": service["spec"]["selector"]}, port["targetPort"]
    for monitor in of(objects, "PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            yield monitor, monitor["spec"]["selector"], endpoint["port"]


def _backends(objects: list[dict[str, Any]]) -> Iterator[tuple[Object, str, Any]]:
    for route in of(objects, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                yield route, backend["name"], backend["port"]
    for ingress in of(objects, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                yield ingress, service["name"], next(iter(service["port"].values()))


def _accounts(objects: list[dict[str, Any]]) -> Iterator[str]:
    """Check that accounts exist, and that their roles allow exactly the permissions in ALLOWED."""
    there = {title(manifest) for manifest in of(objects, "ServiceAccount", "Role")}
    for workload in of(objects, *WORKLOADS):
        name = pod(workload).get("serviceAccountName")
        if name and f"ServiceAccount/{name}" not in there:
            yield f"{title(workload)}: there is no ServiceAccount {name}"
    for binding in of(objects, "RoleBinding"):
        named = [binding["roleRef"], *binding["subjects"]]
        yield from (
            f"{title(binding)}: there is no {each['kind']} {each['name']}"
            for each in named
            if f"{each['kind']}/{each['name']}" not in there
        )
    for role in of(objects, "Role"):
        if role["rules"] != ALLOWED.get(role["metadata"]["name"]):
            yield f"{title(role)}: allows {role['rules']}"
    yield from (f"{title(manifest)}: rules over more than a namespace" for manifest in of(objects, *CLUSTER_WIDE))


def _scaling(objects: list[dict[str, Any]]) -> Iterator[str]:
    deployments = {each["metadata"]["name"]: each for each in of(objects, "Deployment")}
    targets = Counter(
        each["spec"]["scaleTargetRef"]["name"] for each in of(objects, "HorizontalPodAutoscaler", "ScaledObject")
    )
    for name, count in targets.items():
        if name not in deployments:
            yield f"an autoscaler scales Deployment {name}, which there is not"
        elif "replicas" in deployments[name]["spec"]:
            yield f"Deployment/{name}: is autoscaled and says `replicas`, which every apply would bring back"
        if count > 1:
            yield f"Deployment/{name}: has {count} autoscalers"


def _upstreams(objects: list[dict[str, Any]]) -> Iterator[str]:
    """Check that nginx's `server` lines name headless Services by their full names."""
    services = {
        (each["metadata"]["name"], each["metadata"]["namespace"]): each
        for each in of(objects, "Service")
        if each["spec"].get("clusterIP") == "None"
    }
    for manifest in of(objects, "ConfigMap"):
        for variable, value in manifest["data"].items():
            if not variable.endswith("_SERVERS"):
                continue
            for name, namespace, port in re.findall(r"server ([\w-]+)\.([\w-]+)\.svc\.[\w.]+:(\d+)", value):
                service = services.get((name, namespace))
                if service is None:
                    yield f"{variable}: there is no headless Service {name} in {namespace}"
                elif int(port) not in {each["port"] for each in service["spec"]["ports"]}:
                    yield f"{variable}: Service {name} has no port {port}"
