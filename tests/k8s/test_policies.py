"""The network policies allow the intended connections and no others. The cluster must enforce them."""

import pytest

from tests.k8s.needs import KUSTOMIZE, KUSTOMIZE_AND_SCHEMAS

pytestmark = KUSTOMIZE_AND_SCHEMAS


@pytest.fixture
def built(tmp_path):
    """All components of one overlay, with the single Redis and with Sentinels."""
    from deploy.k8s.check import build  # noqa: PLC0415 - the import needs optional packages

    manifests = build.copy(tmp_path)
    parts = ("network-policies", "deletion-cost", "loadtest")
    return [build.build(KUSTOMIZE, manifests, "local", (*parts, *more)) for more in ((), ("redis-sentinel",))]


def test_what_is_let_through_is_what_is_meant(built):
    from tests.k8s.reach import MEANT, allowed  # noqa: PLC0415 - the import needs optional packages

    assert {flow for objects in built for flow in allowed(objects)} == MEANT


def test_without_the_component_everybody_reaches_everybody(built):
    from tests.k8s.reach import allowed, possible  # noqa: PLC0415 - the import needs optional packages

    [objects, _] = built
    open_to_all = [each for each in objects if each["kind"] != "NetworkPolicy"]
    assert allowed(open_to_all) == set(possible(open_to_all))


def test_no_policy_allows_different_things_in_its_two_directions(built):
    """k3s applies all rules of a policy in both directions: only that between the Sentinels may have both."""
    objects = [each for documents in built for each in documents if each["kind"] == "NetworkPolicy"]
    both = {each["metadata"]["name"] for each in objects if "ingress" in each["spec"] and "egress" in each["spec"]}
    assert both == {"redis-sentinel"}
