"""Docker for unit tests: containers, images and the commands that the deployment uses, without an engine."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.compose.engine import Engine, EngineError
from deploy.compose.record import Interrupted

VERSION = "org.opencontainers.image.version"


@dataclass
class FakeRecord:
    """`deploy.compose.record.Record` in memory."""

    interrupted: Interrupted | None = None
    path: str = "the record"
    full: bool = False

    def read(self) -> Interrupted | None:
        return self.interrupted

    def write(self, images: Mapping[str, str], numbers: Mapping[str, int]) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.interrupted = Interrupted(dict(images), dict(numbers))

    def end(self) -> None:
        self.interrupted = None


@dataclass
class FakeDocker:
    """`engine()` is an `Engine` on it. `broken`: images with containers that never become healthy, or "exits".

    `job_codes` are the exit codes of the first jobs; the others end with 0.
    """

    images: dict[str, str] = field(default_factory=dict)
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    failing: list[tuple[str, ...]] = field(default_factory=list)
    job_codes: list[str] = field(default_factory=list)
    commands: list[tuple[str, ...]] = field(default_factory=list)
    environments: list[dict[str, str]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    now: float = 0.0
    exit_codes: dict[str, int] = field(default_factory=dict)
    record: Any = field(default_factory=FakeRecord)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def engine(self, **environment: str) -> Engine:
        return Engine(environment, self.run, self._sleep, lambda: self.now, self.record)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def start(self, service: str, image: str, **state: Any) -> str:
        number = next(self._numbers)
        name = f"c{number}-{service}"
        health = {"unhealthy": "unhealthy", "exits": "starting"}.get(self.broken.get(image, ""), "healthy")
        self.containers[name] = {
            "Id": name,
            "Name": f"/{name}",
            "Created": f"{number:05}",
            "Image": image,
            "RestartCount": 3 if self.broken.get(image) == "exits" else 0,
            "Config": {
                "Labels": {"com.docker.compose.service": service, "com.docker.compose.config-hash": "hash"},
            },
            "State": {"Status": "running", "Running": True, "ExitCode": 0, "Health": {"Status": health}, **state},
        }
        return name

    def running(self, service: str) -> list[str]:
        """Return the images of a service's containers."""
        return [each["Image"] for each in self.containers.values() if _service(each) == service]

    def did(self, *words: str) -> bool:
        """Tell whether a command had all these words."""
        return any(set(words) <= set(command) for command in self.commands)

    def run(self, command: Sequence[str], environment: Mapping[str, str], **_more: Any) -> str:
        """Stand for `deploy.compose.engine.run`."""
        self.commands.append(tuple(command))
        self.environments.append(dict(environment))
        for words in self.failing:
            if set(words) <= set(command):
                raise EngineError(f"{' '.join(command)} failed")
        for words, answer in self.answers.items():
            if words in " ".join(command):
                return answer
        match list(command):
            case ["docker", "compose", *rest]:
                return self._compose(rest, environment)
            case ["docker", "image" | "tag", *_]:
                return self._image(command[1:])
            case ["docker", "wait", _name]:
                return self.job_codes.pop(0) if self.job_codes else "0"
            case ["docker", *rest]:
                return self._container(rest)
        return ""

    def _image(self, rest: Sequence[str]) -> str:
        match list(rest):
            case ["image", "inspect", "--format", "{{.Id}}", name]:
                if name not in self.images:
                    raise EngineError(f"no such image {name}")
                return self.images[name]
            case ["image", "inspect", "--format", form, image] if VERSION in form:
                return f"version of {image}"
            case ["image", "ls", *_, name]:
                tags = [each.partition(":") for each in self.images]
                return "\n".join(tag for found, _, tag in tags if found == name)
            case ["image", "rm", name]:
                del self.images[name]
            case ["tag", image, name]:
                self.images[name] = self.images.get(image, image)
        return ""

    def _container(self, rest: Sequence[str]) -> str:
        match list(rest):
            case ["inspect", *ids]:
                if missing := [each for each in ids if each not in self.containers]:
                    raise EngineError(f"no such container {missing}")
                return json.dumps([self.containers[each] for each in ids])
            case ["start", *ids]:
                for name in ids:
                    self.containers[name]["State"].update(Running=True, Status="running")
            case ["stop", name]:
                state = {"Running": False, "Status": "exited", "ExitCode": self.exit_codes.get(name, 0)}
                self.containers[name]["State"].update(state)
            case ["rm", "--force", name]:
                del self.containers[name]
        return ""

    def _compose(self, rest: Sequence[str], environment: Mapping[str, str]) -> str:
        tag = environment.get("TIDEWIRE_VERSION") or "dev"
        match list(rest):
            case ["ps", "--all", "--quiet", *services]:
                there = [name for name, each in self.containers.items() if _service(each) in services]
                # A job's container has ended.
                return "\n".join(there or [f"job-{services[0]}"])
            case ["ps", "--quiet", *services]:
                return "\n".join(
                    name
                    for name, each in self.containers.items()
                    if (not services or _service(each) in services) and each["State"]["Running"]
                )
            case ["build", *services]:
                for service in services:
                    self.images[f"tidewire-{service}:{tag}"] = f"{service}@{tag}"
            case ["config", "--hash", service]:
                return f"{service} hash"
            case ["config", "--format", "json"]:
                return json.dumps({"services": {}})
            case ["up", "--no-start", "--no-recreate", *more]:
                self._scale(more, tag)
            case ["rm", "--force", *services]:
                self._remove_stopped(services)
        return ""

    def _remove_stopped(self, services: Sequence[str]) -> None:
        for name, each in list(self.containers.items()):
            if _service(each) in services and not each["State"]["Running"]:
                del self.containers[name]

    def _scale(self, words: Sequence[str], tag: str) -> None:
        counts = dict(each.split("=") for each in words if "=" in each)
        for service, count in counts.items():
            name = "tidewire-ws" if service == "ws" else "tidewire-web"
            for _ in range(int(count) - len(self.running(service))):
                self.start(service, self.images[f"{name}:{tag}"], Running=False, Status="created")


def _service(container: Mapping[str, Any]) -> str:
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def deployed(**images: str) -> FakeDocker:
    """Return a docker on which version 1 runs: web, two ws, relay."""
    docker = FakeDocker(images={"tidewire-web:dev": "web@1", "tidewire-ws:dev": "ws@1", **images})
    for service, image in (("web", "web@1"), ("ws", "ws@1"), ("ws", "ws@1"), ("relay", "web@1")):
        docker.start(service, image)
    return docker
