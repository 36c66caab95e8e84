"""The compose project with its own name, ports and secrets, for `make test TIER=compose`."""

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.compose.make_secrets import main as make_secrets
from deploy.local.layout import free_port
from tests.http_client import fetch

ROOT = Path(__file__).resolve().parents[2]
BUILD_SECONDS = 900
UP_SECONDS = 180


def why_no_engine() -> str:
    if not shutil.which("docker"):
        return "compose: no docker on this machine"
    asked = subprocess.run(["docker", "compose", "version"], capture_output=True, text=True, check=False)
    if asked.returncode == 0:
        asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    return "" if asked.returncode == 0 else f"compose: no Docker engine answers: {asked.stderr.strip()[-200:]}"


@dataclass(frozen=True)
class Compose:
    """A running project."""

    project: str
    port: int
    environment: dict[str, str]
    # Services that run only if their image is available.
    optional: frozenset[str] = frozenset()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def __call__(self, *command: str, check: bool = True, timeout_seconds: float = UP_SECONDS) -> str:
        """Run `docker compose COMMAND` and return its output."""
        done = subprocess.run(
            ["docker", "compose", "-p", self.project, *command],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=self.environment,
            timeout=timeout_seconds,
        )
        if check and done.returncode:
            raise AssertionError(f"docker compose {' '.join(command)}: {done.stderr[-3000:]}")
        return done.stdout if check else done.stdout + done.stderr

    def up(self, *, ws: int = 2) -> None:
        self("up", "--detach", "--wait", "--no-recreate", "--scale", f"ws={ws}")

    def running(self, *services: str) -> list[dict[str, Any]]:
        """Return the output of `docker inspect` for each running container."""
        ids = self("ps", "--quiet", *services).split()
        inspected = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=True)
        return list(json.loads(inspected.stdout))

    def inside(self, container: str, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "exec", container, *command], capture_output=True, text=True, check=False, timeout=60
        )

    def let_in(self, name: str) -> str:
        """Create the user if there is none, and return a new password."""
        password = secrets.token_urlsafe(16)
        code = (
            "from django.contrib.auth.models import User as U;"
            f"u,_=U.objects.get_or_create(username={name!r});u.set_password({password!r});u.save()"
        )
        self("exec", "-T", "web", "python", "services/web/manage.py", "shell", "--no-imports", "-c", code)
        return password

    def log_in(self, name: str) -> str:
        """Log a user in through the page and return the cookies."""
        password = self.let_in(name)
        page = fetch(f"{self.url}/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
        before = page.headers["Set-Cookie"].partition(";")[0]
        fields = {"username": name, "password": password, "csrfmiddlewaretoken": token}
        logged_in = fetch(f"{self.url}/login/", fields=fields, headers={"Cookie": before})
        assert logged_in.status == 302, logged_in.text[:500]
        return "; ".join(cookie.partition(";")[0] for cookie in logged_in.headers.get_all("Set-Cookie"))


def image_of(service: str) -> str:
    """Return the image of a service in compose.yaml."""
    return str(yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"][service]["image"])


# Profile -> its services.
PROFILES = {"grafana": ("grafana",), "probes": ("blackbox-exporter", "node-exporter")}


def _has_image(name: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0


@contextmanager
def started(directory: Path, more: Mapping[str, str] | None = None) -> Iterator[Compose]:
    """Yield the project, up and healthy. Its volumes are removed afterwards. `more` goes into its environment."""
    make_secrets(directory)
    port, prometheus, grafana = free_port(), free_port(), free_port()
    # The services of these profiles are optional, because their images may not be available.
    profiles = [name for name, services in PROFILES.items() if all(_has_image(image_of(each)) for each in services)]
    optional = frozenset(service for name in profiles for service in PROFILES[name])
    project = Compose(
        f"tidewire-test-{os.getpid()}",
        port,
        os.environ
        | {
            "TIDEWIRE_SECRETS": str(directory),
            "TIDEWIRE_PORT": str(port),
            "TIDEWIRE_PROMETHEUS_PORT": str(prometheus),
            "TIDEWIRE_GRAFANA_PORT": str(grafana),
            "TIDEWIRE_VERSION": "test",
            # The host name that the load test's containers use.
            "TIDEWIRE_ALLOWED_HOSTS": "localhost,127.0.0.1,nginx",
            "COMPOSE_PROFILES": ",".join(profiles),
        }
        | dict(more or {}),
        optional,
    )
    project("build", timeout_seconds=BUILD_SECONDS)
    try:
        project.up()
        yield project
    finally:
        project("down", "--volumes", "--timeout", "5", check=False)


@pytest.fixture(scope="session")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    if reason := why_no_engine():
        pytest.skip(reason)
    with started(tmp_path_factory.mktemp("secrets")) as project:
        yield project
