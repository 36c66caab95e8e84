"""`make k8s-check` passes for the committed manifests, and fails for each planted mistake."""

import pytest

from tests.k8s.needs import KUSTOMIZE_AND_SCHEMAS

pytestmark = KUSTOMIZE_AND_SCHEMAS


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_nothing_is_wrong_with_what_is_committed(found_after, overlay):
    assert found_after(overlay=overlay, components=("autoscaling-connections", "monitoring", "gateway")) == []


WS = "base/ws.yaml"
PLANTED = {
    "a Deployment's selector": (
        WS,
        "selector: {matchLabels: {app.kubernetes.io/name: ws}}",
        "selector: {matchLabels: {app.kubernetes.io/name: wz}}",
        "its selector does not match its own pods",
    ),
    "a Service's selector": (
        WS,
        "  selector: {app.kubernetes.io/name: ws}",
        "  selector: {app.kubernetes.io/name: wz}",
        "Service/ws: its selector matches no pod",
    ),
    "a probe's port": (
        WS,
        "httpGet: {path: /readyz, port: admin}",
        "httpGet: {path: /readyz, port: amdin}",
        "readinessProbe asks port amdin",
    ),
    "a Service's port": (WS, "targetPort: http", "targetPort: htpp", "has no port htpp"),
    "a port's long name": (
        WS,
        "{name: admin, containerPort",
        "{name: administration-port, containerPort",
        "is over 15 characters",
    ),
    "a probe's path": (WS, "path: /readyz", "path: /ready", "asks /ready;"),
    "a ConfigMap's name": (
        WS,
        "configMapRef: {name: environment}",
        "configMapRef: {name: enviroment}",
        "there is no ConfigMap enviroment",
    ),
    "a Secret's name": (WS, "secretName: tidewire", "secretName: tidewires", "there is no Secret tidewires"),
    "a volume's name": (
        WS,
        "{name: secrets, mountPath",
        "{name: secret, mountPath",
        "mounts secret, which is no volume",
    ),
    "a variable's name": (
        "base/kustomization.yaml",
        "TIDEWIRE_WS_DRAIN_SECONDS",
        "TIDEWIRE_DRAIN_SECONDS",
        "TIDEWIRE_DRAIN_SECONDS is no setting",
    ),
    "a missing variable": (
        "overlays/local/kustomization.yaml",
        "- TIDEWIRE_ALLOWED_HOSTS=localhost,127.0.0.1,nginx",
        "- TIDEWIRE_SIGNUP=true",
        "TIDEWIRE_ALLOWED_HOSTS is missing",
    ),
    "a variable of nginx": (
        "base/kustomization.yaml",
        "TIDEWIRE_LOGIN_RATE",
        "TIDEWIRE_LOGON_RATE",
        "nginx's template wants TIDEWIRE_LOGIN_RATE",
    ),
    "an upstream's name": (
        "base/kustomization.yaml",
        "server ws.tidewire.svc",
        "server wss.tidewire.svc",
        "there is no headless Service wss",
    ),
    "an upstream's port": (
        "base/kustomization.yaml",
        "server web.tidewire.svc.cluster.local:8000",
        "server web.tidewire.svc.cluster.local:8001",
        "Service web has no port 8001",
    ),
    "a grace shorter than the drain": (
        WS,
        "terminationGracePeriodSeconds: 50",
        "terminationGracePeriodSeconds: 30",
        "grace period of 30 s",
    ),
    "a drain longer than the grace": (
        "base/kustomization.yaml",
        "WS_DRAIN_SECONDS=30",
        "WS_DRAIN_SECONDS=60",
        "preStop and stopping take 65 s",
    ),
    "an unknown field": (WS, "  replicas: 2", "  replica: 2", "'replica' was unexpected"),
    "a value's type": (WS, "  replicas: 2", "  replicas: two", "'two' is not of type"),
    "a privileged container": (WS, "allowPrivilegeEscalation: false", "privileged: true", "security context is"),
    "a pod as root": (WS, "runAsUser: 10001", "runAsUser: 0", "may run as root"),
    "a service account's token": (
        WS,
        "automountServiceAccountToken: false",
        "automountServiceAccountToken: true",
        "is given a service account's token",
    ),
    "a container without limits": (WS, ", limits: {memory: 512Mi}", "", "a limit of memory"),
    "both kinds of budget": (
        WS,
        "  maxUnavailable: 1\n",
        "  maxUnavailable: 1\n  minAvailable: 1\n",
        "exclude each other",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_mistake_is_found(found_after, planted):
    file, old, new, expected = PLANTED[planted]
    assert any(expected in message for message in found_after(file, old, new))


def test_a_proxy_in_front_that_nginx_does_not_trust_is_found(found_after):
    problems = found_after(
        "overlays/production/kustomization.yaml", "set_real_ip_from 10.0.0.0/8;", "", overlay="production"
    )
    assert any("so all clients have its address" in message for message in problems)


def test_two_autoscalers_of_one_deployment_are_found(found_after):
    problems = found_after(
        "base/web.yaml", "kind: Deployment, name: web}", "kind: Deployment, name: ws}", components=("autoscaling-cpu",)
    )
    assert any("has 2 autoscalers" in message for message in problems)


def test_a_fixed_number_beside_an_autoscaler_is_found(found_after):
    problems = found_after(
        "components/autoscaling-cpu/kustomization.yaml",
        "op: remove, path: /spec/replicas",
        "op: replace, path: /spec/replicas, value: 3",
        components=("autoscaling-cpu",),
    )
    assert any("is autoscaled and says `replicas`" in message for message in problems)


def test_every_combination_is_built_once(tmp_path):
    from deploy.k8s.check import build  # noqa: PLC0415 - the import needs optional packages

    combinations = list(build.combinations(build.copy(tmp_path)))
    assert len(combinations) == len(set(combinations))
    assert {component for _, components in combinations for component in components} == {
        name for group in build.GROUPS for names in group for name in names.split()
    }
