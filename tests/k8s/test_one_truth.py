"""Settings in both compose and Kubernetes must be equal. The tests only read files."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy" / "k8s"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
# Settings that differ because the two run in different places.
PLACES = {
    # A file that outlives the container, and the standard output that Kubernetes keeps.
    "TIDEWIRE_ACCESS_LOG",
    *("TIDEWIRE_WEB_SERVERS", "TIDEWIRE_WS_SERVERS"),
    *("TIDEWIRE_SECRETS_DIR", "TIDEWIRE_ALLOWED_HOSTS", "TIDEWIRE_ALLOWED_ORIGINS", "TIDEWIRE_SECURE_COOKIES"),
    # There may be many web services instead of one, and each thread has a connection to the database.
    "TIDEWIRE_WEB_THREADS",
    *("LOCUST_HOST", "LOADTEST_PASSWORD_FILE", "LOADTEST_TITLE"),
}
# Compose reads these from the shell, with the settings' own defaults.
OFFERED = {"TIDEWIRE_SIGNUP", "TIDEWIRE_LOG_LEVEL"}


def literals(kustomization: Path, name: str) -> dict[str, str]:
    generators = yaml.safe_load(kustomization.read_text())["configMapGenerator"]
    lines = next(each["literals"] for each in generators if each["name"] == name)
    return dict(line.split("=", 1) for line in lines)


def workload(file: str, name: str) -> dict:
    """Return the container with that name."""
    for document in yaml.safe_load_all((K8S / file).read_text()):
        if document["kind"] in {"Deployment", "StatefulSet", "Job"}:
            for container in document["spec"]["template"]["spec"]["containers"]:
                if container["name"] == name:
                    return container | {
                        "grace": document["spec"]["template"]["spec"].get("terminationGracePeriodSeconds")
                    }
    raise AssertionError(f"{file} has no container {name}")


def default(value: str) -> str:
    """Return compose's default for a variable that the shell does not set: ${NAME:-this}."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value).replace("$$", "$")


def test_nginx_is_told_the_same():
    compose = {name: default(value) for name, value in COMPOSE["nginx"]["environment"].items()}
    cluster = literals(K8S / "base/kustomization.yaml", "nginx-environment")
    # Compose mounts a folder, so that an upgrade sees its new files; Kubernetes mounts a ConfigMap as the templates.
    del compose["NGINX_ENVSUBST_TEMPLATE_DIR"]
    assert compose.keys() == cluster.keys()
    assert {name for name in compose if compose[name] != cluster[name]} <= PLACES


def test_an_upstream_differs_in_its_name_alone():
    cluster = literals(K8S / "base/kustomization.yaml", "nginx-environment")
    for name in ("TIDEWIRE_WEB_SERVERS", "TIDEWIRE_WS_SERVERS"):
        short = cluster[name].replace(".tidewire.svc.cluster.local", "")
        assert short == COMPOSE["nginx"]["environment"][name]


def test_the_programs_are_told_the_same():
    compose = {name: default(value) for name, value in COMPOSE["ws"]["environment"].items()}
    cluster = literals(K8S / "base/kustomization.yaml", "environment")
    cluster |= literals(K8S / "overlays/local/kustomization.yaml", "environment")
    assert compose.keys() - cluster.keys() <= OFFERED | PLACES
    assert {name for name in cluster if cluster[name] != compose.get(name)} <= PLACES


def test_the_load_test_is_told_the_same():
    cluster = literals(K8S / "components/loadtest/kustomization.yaml", "loadtest")
    for name in ("master", "worker"):
        compose = {key: default(value) for key, value in COMPOSE[f"loadtest-{name}"]["environment"].items()}
        own = workload(f"components/loadtest/{name}.yaml", name)["env"]
        environment = cluster | {each["name"]: each["value"] for each in own}
        # Compose's workers inherit the settings of a master, and must unset them.
        unsaid = {"LOCUST_MODE_MASTER", "LOCUST_CSV", "LOCUST_HTML"} if name == "worker" else set()
        assert compose.keys() - unsaid == environment.keys()
        assert {key for key in environment if environment[key] != compose[key]} <= PLACES


def test_load_users_are_made_by_the_same_command():
    [job, *_] = yaml.safe_load_all((K8S / "components/loadtest/master.yaml").read_text())
    command = job["spec"]["template"]["spec"]["initContainers"][0]["command"]
    cluster = literals(K8S / "components/loadtest/kustomization.yaml", "loadtest")
    expanded = [re.sub(r"\$\((\w+)\)", lambda variable: cluster[variable[1]], word) for word in command]
    assert expanded == [default(word) for word in COMPOSE["loadtest-users"]["command"]]


def test_redis_with_sentinels_is_started_like_the_one():
    """Except for options that are only known at the start: the primary, and the other users."""
    alone = workload("components/redis/redis.yaml", "redis")["args"]
    start = alone.index("--aclfile")
    assert (
        workload("components/redis-sentinel/redis-sentinel.yaml", "redis")["args"] == alone[:start] + alone[start + 2 :]
    )


def test_redis_is_started_alike():
    cluster = workload("components/redis/redis.yaml", "redis")["args"]
    compose = [str(word) for word in COMPOSE["redis"]["command"]]
    assert [word.replace("/run/secrets/redis/", "/run/secrets/") for word in cluster] == compose


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("base/nginx.yaml", "nginx"),
        ("components/redis/redis.yaml", "redis"),
        ("components/redis-sentinel/redis-sentinel.yaml", "redis"),
        ("overlays/local/postgres.yaml", "postgres"),
    ],
)
def test_a_public_image_is_the_same(file, name):
    assert workload(file, name)["image"] == COMPOSE[name]["image"]


@pytest.mark.parametrize("name", ["relay", "migrate"])
def test_a_program_is_started_by_the_same_command(name):
    assert workload(f"base/{name}.yaml", name)["command"] == COMPOSE[name]["command"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("base/nginx.yaml", "nginx"),
        ("base/web.yaml", "web"),
        ("base/ws.yaml", "ws"),
        ("base/relay.yaml", "relay"),
        ("base/migrate.yaml", "migrate"),
        ("components/redis/redis.yaml", "redis"),
        ("overlays/local/postgres.yaml", "postgres"),
    ],
)
def test_a_program_has_the_same_memory(file, name):
    compose = COMPOSE[name]["deploy"]["resources"]["limits"]["memory"]
    assert workload(file, name)["resources"]["limits"]["memory"] == compose.replace("M", "Mi")


def test_the_secrets_have_the_same_names():
    generators = yaml.safe_load((K8S / "overlays/local/kustomization.yaml").read_text())["secretGenerator"]
    files = {Path(file).name for each in generators for file in each["files"]}
    assert set(COMPOSE["ws"]["secrets"]) <= files
    # Compose has no Sentinels.
    sentinels = {"TIDEWIRE_REDIS_SENTINEL_PASSWORD", "redis_replication_password"}
    assert files - sentinels <= set(yaml.safe_load((ROOT / "compose.yaml").read_text())["secrets"])
