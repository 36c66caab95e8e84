"""`make k8s-check` compares custom resources with the schemas of their definitions."""

import os
from pathlib import Path

import pytest

from tests.k8s.needs import KUSTOMIZE_AND_SCHEMAS

pytestmark = KUSTOMIZE_AND_SCHEMAS

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
