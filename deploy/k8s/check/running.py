"""Checks that the manifests fit the programs: settings, probes' paths, times, metrics, and the permissions of pods."""
# ruff: noqa: INP001 - deploy/ is no package

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dashboard.env import PREFIX, SECRETS_DIR, Env
from deploy.k8s.check.build import ROOT
from deploy.k8s.check.references import WORKLOADS, Object, containers, of, pod, title

REQUIRED = {f"{PREFIX}{name.upper()}" for name in ("secret_key", "allowed_hosts", "redis_url", "database_url")}
KNOWN = {f"{PREFIX}{name.upper()}" for name in Env.model_fields} | {SECRETS_DIR}
# These are in the Secret that an installation creates separately, as docs/kubernetes.md describes.
SECRETS = {f"{PREFIX}SECRET_KEY", f"{PREFIX}DATABASE_URL", f"{PREFIX}REDIS_URL"}
# The only pods that may talk to the API server; references.py compares their role with their needs.
WITH_TOKEN = ("deletion-cost",)
CONFINED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def problems(objects: list[dict[str, Any]]) -> Iterator[str]:
    for workload in of(objects, *WORKLOADS):
        for container in containers(workload):
            yield from _environment(workload, container, objects)
            yield from _paths(workload, container)
        yield from _grace(workload, objects)
        yield from _restricted(workload)
    yield from _metrics(objects)


def variables(container: Object, objects: list[dict[str, Any]]) -> dict[str, str]:
    """Return the container's environment as far as the manifests define it."""
    data = {each["metadata"]["name"]: each["data"] for each in of(objects, "ConfigMap")}
    names = [source["configMapRef"]["name"] for source in container.get("envFrom", []) if "configMapRef" in source]
    values = {key: value for name in names for key, value in data.get(name, {}).items()}
    return values | {each["name"]: each.get("value", "") for each in container.get("env", [])}


def _environment(workload: Object, container: Object, objects: list[dict[str, Any]]) -> Iterator[str]:
    environment = variables(container, objects)
    names_of_tidewire = {name for name in environment if name.startswith(PREFIX)}
    if not names_of_tidewire:
        return
    where = f"{title(workload)} {container['name']}"
    if container["name"] == "nginx":
        text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "deploy" / "nginx").glob("*.template"))
        used = set(re.findall(r"\$\{(TIDEWIRE_\w+)\}", text))
        yield from (f"{where}: nginx's template wants {name}" for name in sorted(used - names_of_tidewire))
        yield from (f"{where}: nginx's template has no {name}" for name in sorted(names_of_tidewire - used))
        if environment.get("TIDEWIRE_FORWARDED_PROTO") == "https" and not environment.get("TIDEWIRE_TRUSTED_PROXIES"):
            yield f"{where}: who ends TLS is not in TIDEWIRE_TRUSTED_PROXIES, so all clients have its address"
        return
    yield from (f"{where}: {name} is no setting of dashboard.env" for name in sorted(names_of_tidewire - KNOWN))
    yield from (f"{where}: {name} is missing" for name in sorted(REQUIRED - SECRETS - names_of_tidewire))


def _paths(workload: Object, container: Object) -> Iterator[str]:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = container.get(probe, {}).get("httpGet", {}).get("path")
        if path and path not in (served := _served(container["name"])):
            yield f"{title(workload)}: {probe} asks {path}; {container['name']} serves {sorted(served)}"


def _served(container: str) -> set[str]:
    source, pattern = {
        "web": ("services/web/urls.py", r'path\("(\w+)", '),
        "ws": ("src/tidewire/server/admin_port.py", r'case b"/(\w+)"'),
    }[container]
    return {f"/{name}" for name in re.findall(pattern, (ROOT / source).read_text(encoding="utf-8"))}


def _grace(workload: Object, objects: list[dict[str, Any]]) -> Iterator[str]:
    grace = pod(workload).get("terminationGracePeriodSeconds", 30)
    for container in pod(workload)["containers"]:
        command = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
        hook = float(command[1]) if command[:1] in (["sleep"], ["timeout"]) else 0.0
        stops = _stop_seconds(container, objects)
        if grace <= hook + stops:
            yield f"{title(workload)}: grace period of {grace} s, but preStop and stopping take {hook + stops:g} s"


def _stop_seconds(container: Object, objects: list[dict[str, Any]]) -> float:
    if container["name"] == "ws":
        default = Env.model_fields["ws_drain_seconds"].default
        return float(variables(container, objects).get(f"{PREFIX}WS_DRAIN_SECONDS", default))
    if container["name"] == "web":
        text = (ROOT / "services" / "web" / "gunicorn.conf.py").read_text(encoding="utf-8")
        return float(re.findall(r"^graceful_timeout = (\d+)", text, re.MULTILINE)[0])
    return 0.0


def _restricted(workload: Object) -> Iterator[str]:
    """Check Pod Security's level `restricted` and further rules of this project; the API server reports too late."""
    where, spec = title(workload), pod(workload)
    context = spec.get("securityContext", {})
    if not context.get("runAsNonRoot") or not context.get("runAsUser"):
        yield f"{where}: may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{where}: has no seccomp profile"
    if spec.get("automountServiceAccountToken") is not False and workload["metadata"]["name"] not in WITH_TOKEN:
        yield f"{where}: is given a service account's token"
    if any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield f"{where}: shares the host's namespaces"
    yield from (
        f"{where}: volume {each['name']} is the host's" for each in spec.get("volumes", []) if "hostPath" in each
    )
    for container in containers(workload):
        own = container.get("securityContext", {})
        expected = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        if own != expected:
            yield f"{where} {container['name']}: security context is {own}, not {expected}"
        resources = container.get("resources", {})
        if "memory" not in resources.get("limits", {}) or {"cpu", "memory"} - set(resources.get("requests", {})):
            yield f"{where} {container['name']}: needs requests of cpu and memory, and a limit of memory"


def _metrics(objects: list[dict[str, Any]]) -> Iterator[str]:
    source = (ROOT / "src" / "tidewire" / "metrics.py").read_text(encoding="utf-8")
    known = set(re.findall(r'"(tidewire_\w+)"', source))
    for scaled in of(objects, "ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            for name in re.findall(r"tidewire_\w+", trigger["metadata"].get("query", "")):
                if name not in known:
                    yield f"{title(scaled)}: asks for {name}, which tidewire.metrics has not"
