"""The rules of Prometheus and the dashboards of Grafana as objects of the cluster."""

import yaml

from tests.k8s.needs import KUSTOMIZE_AND_SCHEMAS

pytestmark = KUSTOMIZE_AND_SCHEMAS


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
