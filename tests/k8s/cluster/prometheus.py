"""A Prometheus in the cluster at the autoscaler's address, which scrapes the pods of the PodMonitors.

There is no operator to write its configuration from the PodMonitors, so `scrapes` does it for those of the project.
"""

from __future__ import annotations

import json
import urllib.parse
from typing import Any, Self

import yaml

from deploy.local.layout import ROOT
from tests.k8s.cluster.cluster import NAMESPACE, Cluster

IMAGE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["prometheus"]["image"]
MONITORING = "monitoring"
SERVICE = "prometheus-operated"
PORT = 9090
COMPONENTS = ROOT / "deploy" / "k8s" / "components"
NAME_LABEL = "app.kubernetes.io/name"


def component(file: str) -> list[dict[str, Any]]:
    """Return the committed objects of a component's file."""
    return list(yaml.safe_load_all((COMPONENTS / file).read_text(encoding="utf-8")))


def scrapes(monitor: dict[str, Any]) -> list[dict[str, Any]]:
    """Convert a PodMonitor to Prometheus's configuration, with the labels that the operator would add."""
    [(label, value)] = monitor["spec"]["selector"]["matchLabels"].items()
    assert label == monitor["spec"]["jobLabel"] == NAME_LABEL
    pod = "__meta_kubernetes_pod_label_app_kubernetes_io_name"
    return [
        {
            "job_name": f"podMonitor/{NAMESPACE}/{monitor['metadata']['name']}/{number}",
            "scrape_interval": endpoint["interval"],
            "metrics_path": endpoint["path"],
            "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [NAMESPACE]}}],
            "relabel_configs": [
                {"action": "keep", "source_labels": [pod], "regex": value},
                {
                    "action": "keep",
                    "source_labels": ["__meta_kubernetes_pod_container_port_name"],
                    "regex": endpoint["port"],
                },
                {"action": "drop", "source_labels": ["__meta_kubernetes_pod_phase"], "regex": "(Failed|Succeeded)"},
                {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
                {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
                {"source_labels": [pod], "target_label": "job"},
            ],
        }
        for number, endpoint in enumerate(monitor["spec"]["podMetricsEndpoints"])
    ]


class Prometheus:
    """`with Prometheus(cluster) as prometheus` creates it in a namespace of its own, which is removed afterwards."""

    def __init__(self, cluster: Cluster, image: str = IMAGE) -> None:
        self._cluster = cluster
        self._image = image

    def __enter__(self) -> Self:
        cluster = self._cluster
        assert "NotFound" in cluster.kubectl("get", "namespace", MONITORING, check=False), (
            f"the cluster has a namespace {MONITORING} already, which may be somebody's"
        )
        try:
            cluster.apply(yaml.safe_dump_all(self._objects()))
            cluster.until(self._answers, "Prometheus to answer")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._cluster.kubectl("delete", "namespace", MONITORING, "--ignore-not-found", timeout_seconds=180)
        self._cluster.kubectl("delete", "role,rolebinding", "prometheus", "--ignore-not-found")

    def value(self, query: str) -> float | None:
        """Return the current value of the query, or None if it has no result."""
        answer = self._ask(f"query?query={urllib.parse.quote(query)}")["data"]["result"]
        assert len(answer) <= 1, f"an autoscaler wants one value, and this has {len(answer)}: {query}"
        return float(answer[0]["value"][1]) if answer else None

    def _ask(self, path: str) -> Any:
        service = f"/api/v1/namespaces/{MONITORING}/services/{SERVICE}:{PORT}/proxy/api/v1/{path}"
        return json.loads(self._cluster.kubectl("get", "--raw", service))

    def _answers(self) -> bool:
        service = f"/api/v1/namespaces/{MONITORING}/services/{SERVICE}:{PORT}/proxy/-/ready"
        return "Ready" in self._cluster.kubectl("get", "--raw", service, check=False)

    def _objects(self) -> list[dict[str, Any]]:
        configuration = {
            "scrape_configs": [each for monitor in component("monitoring/pods.yaml") for each in scrapes(monitor)]
        }
        account = {"kind": "ServiceAccount", "name": "prometheus", "namespace": MONITORING}
        allowed = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "prometheus"}
        labels = {NAME_LABEL: "prometheus"}
        mine = {"name": "prometheus", "namespace": MONITORING}
        theirs = {"name": "prometheus", "namespace": NAMESPACE}
        return [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MONITORING}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": mine},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": theirs,
                "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": theirs,
                "roleRef": allowed,
                "subjects": [account],
            },
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": mine,
                "data": {"prometheus.yml": yaml.safe_dump(configuration)},
            },
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": mine,
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": self._pod()},
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": SERVICE, "namespace": MONITORING},
                "spec": {"selector": labels, "ports": [{"port": PORT, "targetPort": PORT}]},
            },
        ]

    def _pod(self) -> dict[str, Any]:
        options = ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
        return {
            "serviceAccountName": "prometheus",
            "securityContext": {"runAsUser": 65534, "fsGroup": 65534},
            "containers": [
                {
                    "name": "prometheus",
                    "image": self._image,
                    "imagePullPolicy": "IfNotPresent",
                    "args": options,
                    "volumeMounts": [
                        {"name": "config", "mountPath": "/etc/prometheus"},
                        {"name": "data", "mountPath": "/prometheus"},
                    ],
                }
            ],
            "volumes": [{"name": "config", "configMap": {"name": "prometheus"}}, {"name": "data", "emptyDir": {}}],
        }
