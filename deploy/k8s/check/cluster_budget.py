"""The budgets of a combination at its greatest size: with autoscalers at their maximum, and the pods of a roll-out."""
# ruff: noqa: INP001 - deploy/ is no package

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dashboard.env import PREFIX, Env
from deploy import budgets
from deploy.k8s.check.references import Object, of, pod
from deploy.k8s.check.running import variables

# The limits of an external server depend on the installation, which declares them on the Namespace.
ANNOTATIONS = {
    "database_connections": "tidewire/postgres-max-connections",
    "redis_clients": "tidewire/redis-maxclients",
}
# The servers' own defaults.
MAX_CONNECTIONS = "100"
MAX_CLIENTS = "10000"
# A pod that a roll-out adds, and a pod that is still ending.
SURGES = 2


def problems(objects: list[dict[str, Any]]) -> Iterator[str]:
    try:
        fleet = _fleet(objects)
    except ValueError as error:
        yield f"budgets cannot be added up: {error}"
        return
    yield from budgets.problems(fleet)


def _fleet(objects: list[dict[str, Any]]) -> budgets.Fleet:
    [web, ws, nginx] = (_container(objects, name) for name in ("web", "ws", "nginx"))
    [main] = (each["data"]["nginx.conf"] for each in of(objects, "ConfigMap") if "nginx.conf" in each["data"])
    return budgets.Fleet(
        web=_most(objects, "web"),
        web_workers=_setting(web, objects, "web_workers"),
        web_threads=_setting(web, objects, "web_threads"),
        ws=_most(objects, "ws"),
        relays=_most(objects, "relay"),
        nginx=_serving(objects, "nginx"),
        connections_per_node=_setting(ws, objects, "connections_per_node"),
        ws_memory_bytes=_memory(ws),
        nginx_memory_bytes=_memory(nginx),
        **budgets.nginx_numbers(main),
        **_postgres(objects),
        **_redis(objects),
    )


def _postgres(objects: list[dict[str, Any]]) -> dict[str, Any]:
    postgres = _find(objects, "postgres")
    if postgres is None:
        return {"database_connections": int(_said(objects, "database_connections", MAX_CONNECTIONS))}
    most = budgets.option(postgres.get("args", []), "max_connections", MAX_CONNECTIONS)
    return {"database_connections": int(most), "postgres_memory_bytes": _memory(postgres)}


def _redis(objects: list[dict[str, Any]]) -> dict[str, Any]:
    redis = _find(objects, "redis")
    if redis is None:
        return {"redis_clients": int(_said(objects, "redis_clients", MAX_CLIENTS))}
    return {
        "redis_clients": int(budgets.option(redis["args"], "--maxclients", MAX_CLIENTS)),
        "redis_memory_bytes": _memory(redis),
        "redis_maxmemory_bytes": budgets.size(budgets.option(redis["args"], "--maxmemory", "0")),
    }


def _said(objects: list[dict[str, Any]], field: str, default: str) -> str:
    [namespace] = of(objects, "Namespace")
    return str(namespace["metadata"].get("annotations", {}).get(ANNOTATIONS[field], default))


def _find(objects: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    for workload in of(objects, "Deployment", "StatefulSet"):
        for container in pod(workload)["containers"]:
            if container["name"] == name:
                return dict(container)
    return None


def _container(objects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    workload = _find(objects, name)
    if workload is None:
        raise ValueError(f"there is no container {name}")
    return workload


def _setting(container: Object, objects: list[dict[str, Any]], field: str) -> int:
    default = Env.model_fields[field].default
    return int(variables(container, objects).get(f"{PREFIX}{field.upper()}", default))


def _memory(container: Object) -> int | None:
    # running.py reports a missing limit.
    limit = container.get("resources", {}).get("limits", {}).get("memory")
    return budgets.size(limit) if limit else None


def _scaler(objects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for each in of(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        if each["spec"]["scaleTargetRef"]["name"] == name:
            return dict(each["spec"])
    return {}


def _most(objects: list[dict[str, Any]], name: str) -> int:
    """Return the greatest number of pods, including those of a roll-out."""
    [deployment] = (each for each in of(objects, "Deployment") if each["metadata"]["name"] == name)
    scaler = _scaler(objects, name)
    replicas = scaler.get("maxReplicas") or scaler.get("maxReplicaCount") or deployment["spec"].get("replicas", 1)
    surge = deployment["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxSurge", 1)
    return int(replicas) + SURGES * int(surge)


def _serving(objects: list[dict[str, Any]], name: str) -> int:
    """Return the number of pods under all sockets: the maximum if an autoscaler counts sockets, else the minimum."""
    scaler = _scaler(objects, name)
    if any("tidewire_connections" in each["metadata"].get("query", "") for each in scaler.get("triggers", [])):
        return int(scaler["maxReplicaCount"])
    return int(scaler.get("minReplicas") or scaler.get("minReplicaCount") or 1)
