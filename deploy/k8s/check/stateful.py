"""Pods with names of their own: their Services, and the list of Sentinels in the programs' settings."""
# ruff: noqa: INP001 - deploy/ is no package

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy.k8s.check.references import of, selects, title

SENTINELS = "TIDEWIRE_REDIS_SENTINELS"
# Fewer Sentinels cannot distinguish the loss of a Sentinel from the loss of the primary.
FEWEST = 3


def problems(objects: list[dict[str, Any]]) -> Iterator[str]:
    services = {
        each["metadata"]["name"]: each for each in of(objects, "Service") if each["spec"].get("clusterIP") == "None"
    }
    ports: dict[str, set[int]] = {}
    for workload in of(objects, "StatefulSet"):
        name = workload["spec"]["serviceName"]
        service = services.get(name)
        if service is None or not selects({"matchLabels": service["spec"]["selector"]}, workload):
            yield f"{title(workload)}: there is no headless Service {name} of its pods"
            continue
        for number in range(workload["spec"]["replicas"]):
            ports[f"{workload['metadata']['name']}-{number}.{name}"] = {
                each["port"] for each in service["spec"]["ports"]
            }
    for manifest in of(objects, "ConfigMap"):
        if SENTINELS in manifest["data"]:
            yield from _listed(manifest["data"][SENTINELS].split(","), ports)


def _listed(sentinels: list[str], ports: dict[str, set[int]]) -> Iterator[str]:
    if len(sentinels) < FEWEST:
        yield f"{SENTINELS}: names {len(sentinels)}, which can agree on nothing"
    for sentinel in sentinels:
        host, _, port = sentinel.rpartition(":")
        if host not in ports:
            yield f"{SENTINELS}: there is no pod {host}"
        elif int(port) not in ports[host]:
            yield f"{SENTINELS}: the Service of {host} has no port {port}"
