"""checkov's policies, and the exceptions from them."""

import os
from pathlib import Path

import pytest

from tests.k8s.needs import KUSTOMIZE, KUSTOMIZE_AND_SCHEMAS

pytestmark = KUSTOMIZE_AND_SCHEMAS


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
