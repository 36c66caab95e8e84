"""The compose project as `docker compose` shows it: its containers and images, and commands that change them."""
# ruff: noqa: INP001, S603 - deploy/ is no package; this module starts docker

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from deploy.compose import env_file
from deploy.compose.record import Record, of_project

ROOT = Path(__file__).resolve().parents[2]
# Longer than each command takes that does not build or copy data.
TIMEOUT_SECONDS = 180.0
BUILD_SECONDS = 1800.0


class EngineError(Exception):
    """A command of docker failed; the message has the command and the last lines of its output."""


class Stop(Exception):
    """The command cannot go on. The message is for the person at the terminal and names the remedy."""


@dataclass(frozen=True)
class Container:
    """A container of the project. `image` is the image's id, `health` is empty if the service has no health check."""

    id: str
    name: str
    service: str
    image: str
    status: str
    health: str
    restarts: int
    exit_code: int
    config_hash: str


@dataclass
class Engine:
    """Runs docker for one project. `run(command, input, timeout_seconds)` returns the output; tests pass their own."""

    environment: Mapping[str, str] = field(default_factory=env_file.environment)
    run: Callable[..., str] = field(default_factory=lambda: run)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    record: Record = field(default_factory=lambda: of_project(env_file.environment()))

    def docker(self, *command: str, timeout_seconds: float = TIMEOUT_SECONDS) -> str:
        return self.run(("docker", *command), self.environment, timeout_seconds=timeout_seconds)

    def compose(self, *command: str, timeout_seconds: float = TIMEOUT_SECONDS, **extra: str) -> str:
        """Run `docker compose COMMAND`, with `extra` variables in its environment."""
        environment = {**self.environment, **extra}
        return self.run(("docker", "compose", *command), environment, timeout_seconds=timeout_seconds)

    def containers(self, *services: str) -> list[Container]:
        """Return the running containers of the services in the order of their start, without those of `compose run`."""
        ids = self.compose("ps", "--quiet", *services).split()
        if not ids:
            return []
        found = json.loads(self.docker("inspect", *ids))
        return [_container(each) for each in sorted(found, key=lambda each: str(each["Created"])) if _serves(each)]

    def created(self, *services: str) -> list[Container]:
        """Return the containers of the services that were never started."""
        ids = self.compose("ps", "--all", "--quiet", *services).split()
        found = [_container(each) for each in json.loads(self.docker("inspect", *ids))] if ids else []
        return [each for each in found if each.status == "created"]

    def up(self, *services: str) -> None:
        """Start the services that do not run. Compose would scale web and ws to the file's numbers for nginx."""
        self.compose("up", "--detach", "--no-recreate", *self.scale(*services), *services)

    def scale(self, *services: str) -> list[str]:
        """Return the options that keep the numbers of web and ws in an `up` of these services."""
        if not {"nginx", "nginx-exporter"} & set(services):
            return []
        there = Counter(each.service for each in self.containers("web", "ws"))
        return [part for name, count in sorted(there.items()) for part in ("--scale", f"{name}={count}")]

    def inspect(self, container: Container) -> Container | None:
        """Return the container as it is now; None: it is gone."""
        try:
            [found] = json.loads(self.docker("inspect", container.id))
        except EngineError:
            return None
        return _container(found)

    def image(self, name: str) -> str | None:
        """Return the id of an image; None: there is none of this name."""
        try:
            return self.docker("image", "inspect", "--format", "{{.Id}}", name).strip()
        except EngineError:
            return None

    def version(self, image: str) -> str:
        """Return the version that an image has in its labels."""
        form = '{{index .Config.Labels "org.opencontainers.image.version"}}'
        return self.docker("image", "inspect", "--format", form, image).strip() or image.removeprefix("sha256:")[:12]

    def services(self) -> dict[str, Any]:
        """Return the services of compose.yaml, with all variables replaced."""
        return dict(json.loads(self.compose("config", "--format", "json"))["services"])

    def config_hash(self, service: str) -> str:
        """Return the digest of a service's settings, which compose gives to each container as a label."""
        return self.compose("config", "--hash", service).split()[-1]

    def read(self, container: Container, *command: str) -> str:
        """Run a command inside of a container."""
        return self.docker("exec", container.id, *command)

    def feed(self, container: Container, text: str, *command: str) -> str:
        """Run a command with this text as its input: a secret must not be in a list of processes."""
        with tempfile.TemporaryFile() as file:
            file.write(text.encode())
            file.seek(0)
            return self.run(("docker", "exec", "-i", container.id, *command), self.environment, stdin=file)


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    stdin: IO[bytes] | None = None,
) -> str:
    """Return a command's output. Raises `EngineError` if it fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd=ROOT,
            env=dict(environment),
            timeout=timeout_seconds,
            # Ctrl-C in the terminal is this process's: it must not end the commands of the way back.
            start_new_session=True,
        )
    except FileNotFoundError:
        raise Stop(f"{command[0]} is not installed on this machine") from None
    except subprocess.TimeoutExpired:
        raise EngineError(f"`{' '.join(command[:6])}` took longer than {timeout_seconds:.0f} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or done.stdout.decode(errors="replace").strip()
        raise EngineError(f"`{' '.join(command[:8])}` failed ({done.returncode}): {said[-600:]}")
    return done.stdout.decode(errors="replace")


def _serves(found: Mapping[str, Any]) -> bool:
    labels = found["Config"]["Labels"]
    return labels.get("com.docker.compose.oneoff", "False") != "True" and bool(found["State"]["Running"])


def _container(found: Mapping[str, Any]) -> Container:
    labels, state = found["Config"]["Labels"], found["State"]
    return Container(
        id=found["Id"],
        name=found["Name"].removeprefix("/"),
        service=labels["com.docker.compose.service"],
        image=found["Image"],
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        restarts=found["RestartCount"],
        exit_code=state["ExitCode"],
        config_hash=labels.get("com.docker.compose.config-hash", ""),
    )
