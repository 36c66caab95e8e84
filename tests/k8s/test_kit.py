"""The manifests of `tidewire init` in another project: each overlay, alone and with components."""

import os
import shutil
from pathlib import Path

import pytest

from deploy.kit import generate
from tests.k8s.needs import KUSTOMIZE, KUSTOMIZE_AND_SCHEMAS

pytestmark = KUSTOMIZE_AND_SCHEMAS

ANSWERS = {"name": "racing", "settings": "racing.settings", "application": "racing.asgi:application", "sockets": "ws"}
SECRETS = ("TIDEWIRE_SECRET_KEY", "TIDEWIRE_DATABASE_URL", "TIDEWIRE_REDIS_URL")
COMPONENTS = (
    (),
    ("monitoring", "autoscaling-cpu", "ingress", "network-policies"),
    ("monitoring", "autoscaling-connections", "gateway"),
)


@pytest.fixture(scope="module", params=[False, True], ids=["of-channels", "with-an-outbox"])
def manifests(tmp_path_factory, request):
    copier = pytest.importorskip("copier", reason="kit: no copier on this machine; `make setup` installs it")
    directory = tmp_path_factory.mktemp("kit")
    generate.write(directory / "templates")
    answers = ANSWERS | {"outbox": request.param}
    copier.run_copy(str(directory / "templates"), directory / "project", data=answers, defaults=True, quiet=True)
    secrets = directory / "project/deploy/k8s/overlays/local/secrets"
    secrets.mkdir()
    for name in (*SECRETS, "redis.acl", "postgres_password"):
        (secrets / name).write_text("placeholder")
    return directory / "project/deploy/k8s"


def found(manifests: Path, overlay: str, components: tuple[str, ...] = ()) -> list[str]:
    from deploy.k8s.check import build, configuration, references, schemas  # noqa: PLC0415 - optional packages

    objects = build.build(KUSTOMIZE, manifests, overlay, components)
    folder = os.environ.get("CRD_SCHEMAS")
    wrong = [each for one in objects for each in schemas.violations(one, Path(folder) if folder else None)[0]]
    assert {one["metadata"]["name"] for one in objects if one["kind"] == "Deployment"} >= {"web", "ws", "nginx"}
    return [*wrong, *references.problems(objects), *configuration.problems(objects, overlay)]


@pytest.mark.parametrize("components", COMPONENTS)
@pytest.mark.parametrize("overlay", ["local", "production"])
def test_each_overlay_is_valid(manifests, overlay, components):
    has = "network-policies" if overlay == "production" else ""
    assert found(manifests, overlay, tuple(name for name in components if name != has)) == []


def test_a_name_that_a_substitution_missed_is_found(manifests, tmp_path):
    shutil.copytree(manifests.parent, tmp_path / "deploy")
    path = tmp_path / "deploy/k8s/base/kustomization.yaml"
    path.write_text(path.read_text().replace("server ws.racing.svc", "server ws.tidewire.svc"))
    problems = found(tmp_path / "deploy/k8s", "local")
    assert any("there is no headless Service ws in tidewire" in each for each in problems)
