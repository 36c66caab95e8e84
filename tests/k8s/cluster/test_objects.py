"""The API server accepts the manifests, and rejects a pod that violates the namespace's rules."""

from datetime import datetime

import pytest
import yaml

from tests.k8s.cluster.cluster import NAMESPACE, OVERLAYS

DRY_RUN = ("apply", "--server-side", "--dry-run=server", "--force-conflicts", "--filename", "-")


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_the_api_server_takes_an_overlay_as_it_is_committed(cluster, note, overlay):
    """A server-side dry run includes admission and validation, of which the schemas cover only a part."""
    output = cluster.kubectl(
        *DRY_RUN,
        stdin=cluster.manifests(f"deploy/k8s/overlays/{overlay}").replace("\n  name: migrate\n", "\n  name: again\n"),
        check=False,
    )
    note(f"overlays/{overlay}: {output.count('serverside-applied')} objects taken")
    assert "serverside-applied" in output
    assert "error" not in output.lower(), output
    # Pod Security only warns about a Deployment, but then rejects its pods.
    assert "Warning" not in output, output


@pytest.mark.parametrize("kind", ["HTTPRoute", "Ingress", "PodMonitor", "PrometheusRule", "ScaledObject"])
def test_the_api_server_takes_what_components_ask_of_others(cluster, note, kind):
    """If their definitions are installed, their rules apply too, and an unknown field must be rejected."""
    built = yaml.safe_load_all(cluster.manifests(f"{OVERLAYS}/options"))
    objects = [each for each in built if each["kind"] == kind]
    output = cluster.kubectl(*DRY_RUN, stdin=yaml.safe_dump_all(objects), check=False)
    if "no matches for kind" in output:
        pytest.skip(f"k8s: the cluster knows no {kind}")
    note(f"{kind}: {output.count('serverside-applied')} objects taken")
    assert output.count("serverside-applied") == len(objects) > 0, output
    objects[0]["spec"]["planted"] = True
    assert "field not declared in schema" in cluster.kubectl(*DRY_RUN, stdin=yaml.safe_dump(objects[0]), check=False)


def test_a_pod_that_asks_for_more_is_refused(cluster):
    output = cluster.kubectl("run", "more", "--image=redis:8-alpine", "--privileged", check=False)
    assert "violates PodSecurity" in output, output


def test_nothing_served_before_the_migrations_were_done(cluster, note):
    """The pods wait in their init containers for the migrate Job."""
    last = "select extract(epoch from max(applied)) from django_migrations"
    psql = ("exec", "postgres-0", "--", "psql", "-U", "tidewire", "-At", "-c", last)
    migrated = float(cluster.kubectl(*psql))
    began = {}
    for name in ("web", "ws", "relay"):
        for pod in cluster.ready(name):
            state = pod["status"]["containerStatuses"][0]["state"]
            began[pod["metadata"]["name"]] = _seconds(state["running"]["startedAt"]) - migrated
    note(f"the first program began {min(began.values()):.0f} s after the last migration")
    # Kubernetes reports whole seconds.
    assert min(began.values()) >= -1, began


def test_only_one_account_may_do_anything(cluster):
    """deletion-cost may list and patch pods of its namespace. Nodes must have no token."""

    def may(*asked: str, account: str = "deletion-cost") -> bool:
        impersonated = f"--as=system:serviceaccount:{NAMESPACE}:{account}"
        return cluster.kubectl("auth", "can-i", *asked, impersonated, check=False).split()[-1:] == ["yes"]

    assert may("patch", "pods")
    assert may("list", "pods")
    for forbidden in (("delete", "pods"), ("create", "pods"), ("get", "secrets"), ("patch", "deployments")):
        assert not may(*forbidden), forbidden
    assert not may("patch", "pods", "--namespace=default")
    assert not may("patch", "pods", account="default")
    pod = cluster.ready("ws")[0]["metadata"]["name"]
    listed = cluster.kubectl("exec", pod, "--container=ws", "--", "ls", "/var/run/secrets", check=False)
    assert "kubernetes.io" not in listed


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
