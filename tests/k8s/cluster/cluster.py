"""A Kubernetes cluster with the product, controlled with `kubectl`. Any cluster of a KUBECONFIG will do."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.compose.make_secrets import main as make_secrets
from deploy.local.layout import ROOT
from tests.faults.crowd import Address
from tests.http_client import metric

NAMESPACE = "tidewire"
KUBECTL = os.environ.get("KUBECTL") or shutil.which("kubectl") or ""
KUSTOMIZE = os.environ.get("KUSTOMIZE") or shutil.which("kustomize") or ""
POLL_SECONDS = 0.2
ROLLOUT_SECONDS = 240
ADMIN_PORT = 8300
OVERLAYS = "tests/k8s/cluster/overlays"


def why_no_cluster() -> str:
    """Return the reason why the tier cannot run, or an empty string."""
    if not os.environ.get("KUBECONFIG"):
        return "k8s: KUBECONFIG names no cluster"
    if not (KUBECTL and KUSTOMIZE):
        return "k8s: no kubectl or no kustomize"
    asked = subprocess.run([KUBECTL, "version"], capture_output=True, text=True, check=False, timeout=30)
    return "" if asked.returncode == 0 else f"k8s: no API server answers: {asked.stderr.strip()[-200:]}"


class Cluster:
    """The namespace that the tier creates and removes. `images`: the nodes' images by their names in the manifests."""

    def __init__(self, directory: Path, images: Mapping[str, str]) -> None:
        self._directory = directory
        self.images = images

    def kubectl(
        self, *arguments: str, check: bool = True, stdin: str | None = None, timeout_seconds: float = 120.0
    ) -> str:
        """Run kubectl in the product's namespace, except for `apply`, because manifests have their own."""
        namespace = () if arguments[0] == "apply" else ("--namespace", NAMESPACE)
        done = subprocess.run(
            [KUBECTL, *namespace, *arguments],
            capture_output=True,
            text=True,
            check=False,
            input=stdin,
            timeout=timeout_seconds,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)[:300]}: {done.stderr[-2000:]}")
        return done.stdout if check else done.stdout + done.stderr

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    def manifests(self, overlay: str) -> str:
        """Build an overlay of the repository as YAML, from a copy with secrets and these images."""
        copy = self._directory / "copy"
        if not copy.exists():
            self._copy(copy)
        built = subprocess.run(
            [KUSTOMIZE, "build", str(copy / overlay)], capture_output=True, text=True, check=False, timeout=60
        )
        assert built.returncode == 0, f"{overlay}: {built.stderr}"
        return built.stdout

    def _copy(self, copy: Path) -> None:
        shutil.copytree(ROOT / "deploy", copy / "deploy", ignore=shutil.ignore_patterns("secrets", "__pycache__"))
        shutil.copytree(ROOT / OVERLAYS, copy / OVERLAYS)
        secrets = copy / "deploy/k8s/overlays/local/secrets"
        make_secrets(secrets)
        for kustomization in (*(copy / OVERLAYS).iterdir(), copy / "deploy/k8s/overlays/local"):
            for name, image in self.images.items():
                subprocess.run(
                    [KUSTOMIZE, "edit", "set", "image", f"{name}={image}"], cwd=kustomization, check=True, timeout=60
                )

    def up(self) -> None:
        """Apply the test's overlay to a cluster without the product, and wait until all workloads have rolled out."""
        assert "NotFound" in self.kubectl("get", "namespace", NAMESPACE, check=False), (
            f"the cluster has a namespace {NAMESPACE} already, which may be somebody's: remove it first"
        )
        self.become("plain")

    def become(self, overlay: str) -> None:
        """Apply one of the test's overlays, like an upgrade, and wait until all workloads have rolled out."""
        self.kubectl("delete", "job", "migrate", "--ignore-not-found")
        self.apply(self.manifests(f"{OVERLAYS}/{overlay}"))
        for name in ("nginx", "web", "ws", "relay", "deletion-cost"):
            self.rolled_out(name)

    def apply(self, manifests: str) -> None:
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", stdin=manifests)

    def down(self) -> None:
        self.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout_seconds=180)

    def rolled_out(self, name: str, kind: str = "deployment") -> None:
        """Wait until a workload has rolled out and the pods of the previous version have ended."""
        self.kubectl(
            *("rollout", "status", f"{kind}/{name}", f"--timeout={ROLLOUT_SECONDS}s"),
            timeout_seconds=ROLLOUT_SECONDS + 20,
        )
        self.until(lambda: not any(self._leaves(pod) for pod in self.pods(name)), f"the last of {name} to go")

    def pods(self, name: str) -> list[dict[str, Any]]:
        return list(self.get("pods", "--selector", f"app.kubernetes.io/name={name}")["items"])

    def ready(self, name: str) -> list[dict[str, Any]]:
        """Return the pods that accept clients, oldest first."""
        matching = [pod for pod in self.pods(name) if not self._leaves(pod) and _is_ready(pod)]
        return sorted(matching, key=lambda pod: pod["metadata"]["creationTimestamp"])

    @staticmethod
    def _leaves(pod: dict[str, Any]) -> bool:
        return "deletionTimestamp" in pod["metadata"]

    def until(self, so: Callable[[], object], expectation: str, timeout_seconds: float = 120.0) -> float:
        """Wait until a condition is true. Return the seconds that it took."""
        began = time.monotonic()
        while not so():
            assert time.monotonic() - began < timeout_seconds, f"not in {timeout_seconds:.0f} s: {expectation}"
            time.sleep(POLL_SECONDS)
        return time.monotonic() - began

    def sockets(self, pod: dict[str, Any]) -> int:
        """Return the number of a node's open sockets, from its own metrics."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:{ADMIN_PORT}/proxy/metrics"
        return int(metric(self.kubectl("get", "--raw", path), "tidewire_connections"))

    @property
    def address(self) -> Address:
        """The address of nginx: that of a node, with the Service's port on it."""
        node = self.get("nodes")["items"][0]
        host = next(each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP")
        return Address(host, self.get("service", "nginx")["spec"]["ports"][0]["nodePort"])

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command that runs a file of the repository in a pod, with its settings and database."""
        source = (ROOT / program).read_text(encoding="utf-8")
        inside = ("exec", "--stdin", "deployment/relay", "--container", "relay", "--", "python", "-c", source)
        return [KUBECTL, "--namespace", NAMESPACE, *inside, *arguments]

    def run(self, program: str, *arguments: str) -> Any:
        """Run a file in a pod. Return its output, parsed as JSON."""
        done = subprocess.run(
            self.command(program, *arguments), capture_output=True, text=True, check=True, timeout=120, input=""
        )
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def careless(self, name: str, command: str) -> Iterator[None]:
        """Control experiment that must fail: pods without a preStop hook, with a program that is killed at SIGTERM."""
        before = self.get("deployment", name)["spec"]["template"]["spec"]["containers"][0]
        killed = f"trap 'kill -9 -1; exit 0' TERM; {command} & wait"
        path = "/spec/template/spec/containers/0"
        self._patch(
            name,
            {"op": "remove", "path": f"{path}/lifecycle"},
            {"op": "add", "path": f"{path}/command", "value": ["sh", "-c", killed]},
        )
        try:
            yield
        finally:
            self._patch(
                name,
                {"op": "add", "path": f"{path}/lifecycle", "value": before["lifecycle"]},
                {"op": "remove", "path": f"{path}/command"},
            )

    def _patch(self, name: str, *operations: dict[str, Any]) -> None:
        self.kubectl("patch", "deployment", name, "--type=json", f"--patch={json.dumps(operations)}")
        self.rolled_out(name)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
