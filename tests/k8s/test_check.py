"""`make k8s-check` passes for the committed manifests, and fails for each planted mistake."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.k8s.needs import KUSTOMIZE, KUSTOMIZE_AND_SCHEMAS

pytestmark = KUSTOMIZE_AND_SCHEMAS

Found = Callable[..., list[str]]


@pytest.fixture
def found_after(tmp_path) -> Found:
    """`found_after(file, old, new)` returns the findings for a copy of the manifests with `old` replaced by `new`."""
    from deploy.k8s.check import build, combination, schemas  # noqa: PLC0415 - the imports need optional packages

    manifests = build.copy(tmp_path)

    def check(file="", old="", new="", *, overlay="local", components=()) -> list[str]:
        if file:
            path = manifests / file
            text = path.read_text()
            assert old in text, f"{old!r} is not in {file}: the planted mistake would be none"
            path.write_text(text.replace(old, new, 1))
        objects = build.build(KUSTOMIZE, manifests, overlay, components)
        folder = os.environ.get("CRD_SCHEMAS")
        messages = [
            each for document in objects for each in schemas.violations(document, Path(folder) if folder else None)[0]
        ]
        return [*combination.problems(objects, overlay), *messages]

    return check


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


IN_COMPONENTS = {
    "monitoring": ("pods.yaml", "port: admin", "port: metrics", "has no port metrics"),
    "gateway": ("route.yaml", "name: nginx, port: 80", "name: ngnix, port: 80", "there is no Service ngnix"),
    "ingress": ("ingress.yaml", "port: {name: http}", "port: {name: web}", "nginx has no port web"),
    "deletion-cost": (
        "account.yaml",
        "verbs: [list, patch]",
        "verbs: [list, patch, delete]",
        "Role/deletion-cost: allows",
    ),
    "redis-persistence": ("volume.yaml", "name: redis", "name: reddis", "there is no PersistentVolumeClaim redis"),
    "autoscaling-connections": ("ws.yaml", "sum(tidewire_connections{", "sum(tidewire_conections{", "tidewire.metrics"),
}


@pytest.mark.parametrize("component", IN_COMPONENTS)
def test_a_planted_mistake_in_a_component_is_found(found_after, component):
    file, old, new, expected = IN_COMPONENTS[component]
    problems = found_after(f"components/{component}/{file}", old, new, components=(component,))
    assert any(expected in message for message in problems)


SENTINELS = {
    "a Sentinel's pod": (
        "kustomization.yaml",
        "redis-sentinel-2.redis",
        "redis-sentinel-3.redis",
        "no pod redis-sentinel-3",
    ),
    "a Sentinel's port": (
        "kustomization.yaml",
        "redis-sentinel-2.redis-sentinel:26379",
        "redis-sentinel-2.redis-sentinel:26380",
        "has no port 26380",
    ),
    "too few Sentinels": ("kustomization.yaml", ",redis-sentinel-2.redis-sentinel:26379", "", "names 2"),
    "a StatefulSet's Service": (
        "redis-sentinel.yaml",
        "serviceName: redis-sentinel",
        "serviceName: redis",
        "no headless Service redis of its pods",
    ),
    "a Service of other pods": (
        "redis-sentinel.yaml",
        "  selector: {app.kubernetes.io/name: redis-sentinel}",
        "  selector: {app.kubernetes.io/name: ws}",
        "no headless Service redis-sentinel of its pods",
    ),
    "a variable's key": (
        "redis-sentinel.yaml",
        "key: TIDEWIRE_REDIS_SENTINELS}",
        "key: TIDEWIRE_SENTINELS}",
        "ConfigMap environment has no TIDEWIRE_SENTINELS",
    ),
    "a secret's key": (
        "redis-sentinel.yaml",
        "key: TIDEWIRE_REDIS_SENTINEL_PASSWORD",
        "key: SENTINEL_PASSWORD",
        "Secret tidewire has no SENTINEL_PASSWORD",
    ),
    "a grace shorter than the hand-over": (
        "redis-sentinel.yaml",
        "terminationGracePeriodSeconds: 30",
        "terminationGracePeriodSeconds: 20",
        "grace period of 20 s",
    ),
}


@pytest.mark.parametrize("planted", SENTINELS)
def test_a_planted_mistake_about_sentinels_is_found(found_after, planted):
    file, old, new, expected = SENTINELS[planted]
    problems = found_after(f"components/redis-sentinel/{file}", old, new, components=("redis-sentinel",))
    # kustomize appends a hash to the names of ConfigMaps and Secrets.
    assert any(expected in re.sub(r"-[a-z0-9]{10}\b", "", message) for message in problems)


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_with_sentinels_there_is_no_other_redis(found_after, overlay):
    assert found_after(overlay=overlay, components=("redis-sentinel", "redis-sentinel-persistence")) == []


ACCOUNTS = {
    "a pod's account": (
        "deletion-cost.yaml",
        "serviceAccountName: deletion-cost",
        "serviceAccountName: ws",
        "there is no ServiceAccount ws",
    ),
    "a binding's role": ("account.yaml", "kind: Role, name: deletion-cost", "kind: Role, name: cost", "no Role cost"),
    "a role over everything": (
        "account.yaml",
        "kind: Role\n",
        "kind: ClusterRole\n",
        "rules over more than a namespace",
    ),
}


@pytest.mark.parametrize("planted", ACCOUNTS)
def test_a_planted_mistake_about_an_account_is_found(found_after, planted):
    file, old, new, expected = ACCOUNTS[planted]
    problems = found_after(f"components/deletion-cost/{file}", old, new, components=("deletion-cost",))
    assert any(expected in message for message in problems)


def test_a_token_is_for_one_component_alone(found_after):
    """The line that deletion-cost may have is a finding in any other pod: see "a service account's token" above."""
    assert found_after(components=("deletion-cost",)) == []


LOADS = {
    "an option of the load test": ("LOADTEST_SHAPE", "LOADTEST_FORM", "LOADTEST_FORM is no option"),
    "the load test's way in": ("http://nginx", "http://web:8000", "web is not one of TIDEWIRE_ALLOWED_HOSTS"),
    "the load test's port": ("http://nginx", "http://nginx:8080", "no Service for http://nginx:8080"),
    "the load test's workers": ("EXPECT_WORKERS=3", "EXPECT_WORKERS=2", "is not how many workers there are"),
}


@pytest.mark.parametrize("planted", LOADS)
def test_a_planted_mistake_about_the_load_test_is_found(found_after, planted):
    old, new, expected = LOADS[planted]
    problems = found_after("components/loadtest/kustomization.yaml", old, new, components=("loadtest",))
    assert any(expected in message for message in problems)


def test_what_patches_redis_stands_only_beside_it(tmp_path):
    from deploy.k8s.check import build  # noqa: PLC0415 - the import needs optional packages

    combinations = list(build.combinations(build.copy(tmp_path)))
    assert {overlay for overlay, components in combinations if "redis-persistence" in components} == {"local"}


def test_the_clusters_copy_of_the_rules_and_the_list_of_dashboards_are_current():
    from deploy.k8s import monitoring  # noqa: PLC0415 - the import needs optional packages

    old = [path.name for path, generate in monitoring.FILES.items() if path.read_text(encoding="utf-8") != generate()]
    assert old == [], "run `make generate`"


def test_rules_and_dashboards_become_objects(tmp_path):
    """All files of the two directories must be in the cluster, unchanged."""
    from deploy.k8s import monitoring  # noqa: PLC0415 - the import needs optional packages

    groups = [{"name": "a", "rules": [{"alert": "A", "expr": "up == 0", "labels": {"severity": "page"}}]}]
    (tmp_path / "nodes.yml").write_text(yaml.safe_dump({"groups": groups}))
    (tmp_path / "overview.json").write_text("{}")
    config_maps = list(yaml.safe_load_all(monitoring.rules(tmp_path)))
    assert [(each["metadata"]["name"], each["spec"]) for each in config_maps] == [
        ("tidewire-nodes", {"groups": groups})
    ]
    listed = yaml.safe_load(monitoring.dashboards(tmp_path))
    assert listed["configMapGenerator"] == [{"name": "dashboard-overview", "files": ["dashboards/overview.json"]}]


@pytest.mark.skipif(
    not (Path(os.environ.get("POLICIES", "")) / "checkov").is_dir(), reason="k8s: POLICIES has no checkov"
)
def test_policies_find_what_they_are_there_for(tmp_path):
    """The policies must skip the exceptions, but only for the workloads that they name."""
    from deploy.k8s.check import build, policies  # noqa: PLC0415 - the import needs optional packages

    objects = build.build(KUSTOMIZE, build.copy(tmp_path), "local", ("deletion-cost", "network-policies"))
    ws = next(each for each in objects if each["kind"] == "Deployment" and each["metadata"]["name"] == "ws")
    container = ws["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"] = {"privileged": True}
    del container["livenessProbe"]
    messages, passed = policies.problems(objects, tmp_path, os.environ["POLICIES"])
    assert passed > 100
    failed_checks = {
        line.rpartition("(")[2].rstrip(")") for line in messages if line.startswith("Deployment.tidewire.ws")
    }
    # Privileged, privilege escalation, writable root, capabilities, liveness.
    assert {"CKV_K8S_16", "CKV_K8S_20", "CKV_K8S_22", "CKV_K8S_8"} <= failed_checks, messages
    assert not any("relay" in line for line in messages)


CUSTOM = {
    "autoscaling-connections": ("ws.yaml", "minReplicaCount", "minReplicasCount"),
    "gateway": ("route.yaml", "request", "requests"),
    "monitoring": ("pods.yaml", "interval", "intervals"),
}


@pytest.mark.skipif(
    not Path(os.environ.get("CRD_SCHEMAS") or "none").is_dir(), reason="k8s: CRD_SCHEMAS is no folder of schemas"
)
@pytest.mark.parametrize("component", CUSTOM)
def test_an_unknown_field_of_a_custom_resource_is_found(found_after, component):
    file, old, new = CUSTOM[component]
    problems = found_after(f"components/{component}/{file}", f"{old}:", f"{new}:", components=(component,))
    assert any(f"'{new}' was unexpected" in message for message in problems)


def test_a_definition_becomes_a_schema_for_each_of_its_versions(tmp_path):
    from deploy.k8s.check import crds  # noqa: PLC0415 - the import needs optional packages

    versions = [
        {"name": name, "schema": {"openAPIV3Schema": {"properties": {name: {"type": "string"}}}}}
        for name in ("v1", "v2")
    ]
    crds.write({"spec": {"group": "a.example", "names": {"kind": "Boat"}, "versions": versions}}, tmp_path)
    assert {path.name for path in (tmp_path / "a.example").iterdir()} == {"boat_v1.json", "boat_v2.json"}
    assert "v2" in (tmp_path / "a.example" / "boat_v2.json").read_text()


def test_every_combination_is_built_once(tmp_path):
    from deploy.k8s.check import build  # noqa: PLC0415 - the import needs optional packages

    combinations = list(build.combinations(build.copy(tmp_path)))
    assert len(combinations) == len(set(combinations))
    assert {component for _, components in combinations for component in components} == {
        name for group in build.GROUPS for names in group for name in names.split()
    }
