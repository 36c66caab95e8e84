"""`make k8s-check` passes for the components, and fails for each mistake that is planted in one."""

import re

import pytest

from tests.k8s.needs import KUSTOMIZE_AND_SCHEMAS

pytestmark = KUSTOMIZE_AND_SCHEMAS

PLANTED = {
    "a monitored port": ("monitoring/pods.yaml", "port: admin", "port: metrics", "has no port metrics"),
    "a route's Service": (
        "gateway/route.yaml",
        "name: nginx, port: 80",
        "name: ngnix, port: 80",
        "there is no Service ngnix",
    ),
    "an Ingress's port": ("ingress/ingress.yaml", "port: {name: http}", "port: {name: web}", "nginx has no port web"),
    "a right that no component needs": (
        "deletion-cost/account.yaml",
        "verbs: [list, patch]",
        "verbs: [list, patch, delete]",
        "Role/deletion-cost: allows",
    ),
    "a volume's name": (
        "redis-persistence/volume.yaml",
        "name: redis",
        "name: reddis",
        "there is no PersistentVolumeClaim redis",
    ),
    "a query's metric": (
        "autoscaling-connections/ws.yaml",
        "sum(tidewire_connections{",
        "sum(tidewire_conections{",
        "tidewire.metrics",
    ),
    "a Sentinel's pod": (
        "redis-sentinel/kustomization.yaml",
        "redis-sentinel-2.redis",
        "redis-sentinel-3.redis",
        "no pod redis-sentinel-3",
    ),
    "a Sentinel's port": (
        "redis-sentinel/kustomization.yaml",
        "redis-sentinel-2.redis-sentinel:26379",
        "redis-sentinel-2.redis-sentinel:26380",
        "has no port 26380",
    ),
    "too few Sentinels": ("redis-sentinel/kustomization.yaml", ",redis-sentinel-2.redis-sentinel:26379", "", "names 2"),
    "a StatefulSet's Service": (
        "redis-sentinel/redis-sentinel.yaml",
        "serviceName: redis-sentinel",
        "serviceName: redis",
        "no headless Service redis of its pods",
    ),
    "a Service of other pods": (
        "redis-sentinel/redis-sentinel.yaml",
        "  selector: {app.kubernetes.io/name: redis-sentinel}",
        "  selector: {app.kubernetes.io/name: ws}",
        "no headless Service redis-sentinel of its pods",
    ),
    "a variable's key": (
        "redis-sentinel/redis-sentinel.yaml",
        "key: TIDEWIRE_REDIS_SENTINELS}",
        "key: TIDEWIRE_SENTINELS}",
        "ConfigMap environment has no TIDEWIRE_SENTINELS",
    ),
    "a secret's key": (
        "redis-sentinel/redis-sentinel.yaml",
        "key: TIDEWIRE_REDIS_SENTINEL_PASSWORD",
        "key: SENTINEL_PASSWORD",
        "Secret tidewire has no SENTINEL_PASSWORD",
    ),
    "a grace shorter than the hand-over": (
        "redis-sentinel/redis-sentinel.yaml",
        "terminationGracePeriodSeconds: 30",
        "terminationGracePeriodSeconds: 20",
        "grace period of 20 s",
    ),
    "a pod's account": (
        "deletion-cost/deletion-cost.yaml",
        "serviceAccountName: deletion-cost",
        "serviceAccountName: ws",
        "there is no ServiceAccount ws",
    ),
    "a binding's role": (
        "deletion-cost/account.yaml",
        "kind: Role, name: deletion-cost",
        "kind: Role, name: cost",
        "no Role cost",
    ),
    "a role over everything": (
        "deletion-cost/account.yaml",
        "kind: Role\n",
        "kind: ClusterRole\n",
        "rules over more than a namespace",
    ),
    "an option of the load test": (
        "loadtest/kustomization.yaml",
        "LOADTEST_SHAPE",
        "LOADTEST_FORM",
        "LOADTEST_FORM is no option",
    ),
    "the load test's way in": (
        "loadtest/kustomization.yaml",
        "http://nginx",
        "http://web:8000",
        "web is not one of TIDEWIRE_ALLOWED_HOSTS",
    ),
    "the load test's port": (
        "loadtest/kustomization.yaml",
        "http://nginx",
        "http://nginx:8080",
        "no Service for http://nginx:8080",
    ),
    "the load test's workers": (
        "loadtest/kustomization.yaml",
        "EXPECT_WORKERS=3",
        "EXPECT_WORKERS=2",
        "is not how many workers there are",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_mistake_in_a_component_is_found(found_after, planted):
    file, old, new, expected = PLANTED[planted]
    problems = found_after(f"components/{file}", old, new, components=(file.partition("/")[0],))
    # kustomize appends a hash to the names of ConfigMaps and Secrets.
    assert any(expected in re.sub(r"-[a-z0-9]{10}\b", "", message) for message in problems), problems


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_with_sentinels_there_is_no_other_redis(found_after, overlay):
    assert found_after(overlay=overlay, components=("redis-sentinel", "redis-sentinel-persistence")) == []


def test_a_token_is_for_one_component_alone(found_after):
    """The line that deletion-cost may have is a finding in any other pod: see "a service account's token" above."""
    assert found_after(components=("deletion-cost",)) == []


def test_what_patches_redis_stands_only_beside_it(tmp_path):
    from deploy.k8s.check import build  # noqa: PLC0415 - the import needs optional packages

    combinations = list(build.combinations(build.copy(tmp_path)))
    assert {overlay for overlay, components in combinations if "redis-persistence" in components} == {"local"}
