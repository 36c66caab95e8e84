"""Checks that each ConfigMap, Secret and volume of a pod exists, with the keys that the pod needs."""
# ruff: noqa: INP001 - deploy/ is no package

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy.k8s.check.references import WORKLOADS, Object, containers, of, pod, title

KINDS = ("ConfigMap", "Secret", "PersistentVolumeClaim")
# The installation must create these separately from the manifests, as docs/kubernetes.md describes.
EXTERNAL: dict[str, dict[tuple[str, str], set[str]]] = {
    "production": {
        ("Secret", "tidewire"): {
            *("TIDEWIRE_SECRET_KEY", "TIDEWIRE_DATABASE_URL", "TIDEWIRE_REDIS_URL"),
            "TIDEWIRE_REDIS_SENTINEL_PASSWORD",
        },
        ("Secret", "redis"): {"redis.acl", "redis_replication_password"},
    }
}
Asked = tuple[str, str, set[str]]


def problems(objects: list[dict[str, Any]], overlay: str) -> Iterator[str]:
    there = {
        (manifest["kind"], manifest["metadata"]["name"]): set(manifest.get("data", {}))
        for manifest in of(objects, *KINDS)
    }
    there |= EXTERNAL.get(overlay, {})
    for workload in of(objects, *WORKLOADS):
        yield from _mounts(workload)
        for kind, name, keys in (*_volumes(workload), *_variables(workload)):
            if (kind, name) not in there:
                yield f"{title(workload)}: there is no {kind} {name}"
                continue
            yield from (f"{title(workload)}: {kind} {name} has no {key}" for key in sorted(keys - there[kind, name]))


def _mounts(workload: Object) -> Iterator[str]:
    volumes = {each["name"] for each in pod(workload).get("volumes", [])}
    volumes |= {each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", [])}
    for container in containers(workload):
        mounted = {each["name"] for each in container.get("volumeMounts", [])}
        yield from (f"{title(workload)}: mounts {name}, which is no volume" for name in mounted - volumes)


def _volumes(workload: Object) -> Iterator[Asked]:
    for volume in pod(workload).get("volumes", []):
        for kind, source, name in (
            ("ConfigMap", "configMap", "name"),
            ("Secret", "secret", "secretName"),
            ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
        ):
            if source in volume:
                yield kind, volume[source][name], {item["key"] for item in volume[source].get("items", [])}


def _variables(workload: Object) -> Iterator[Asked]:
    for container in containers(workload):
        for kind, whole, one in (
            ("ConfigMap", "configMapRef", "configMapKeyRef"),
            ("Secret", "secretRef", "secretKeyRef"),
        ):
            yield from ((kind, each[whole]["name"], set()) for each in container.get("envFrom", []) if whole in each)
            asked = [each["valueFrom"][one] for each in container.get("env", []) if one in each.get("valueFrom", {})]
            yield from ((kind, each["name"], {each["key"]}) for each in asked)
