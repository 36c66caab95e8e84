"""A surge: new containers of web, ws and relay start beside the old ones, and these end once the new ones are ready."""
# ruff: noqa: INP001 - deploy/ is no package; found from the root

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from deploy.compose.engine import Container, Engine, EngineError, Stop

SERVICES = ("web", "ws", "relay")
# A container may take 60 s to become healthy on a slow host.
READY_SECONDS = 150.0
POLL_SECONDS = 1.0
# nginx asks Docker's name server every two seconds, and passes over a replica that refused it for another one.
NOTICED_SECONDS = 4.0
# Two containers of a service must not vanish within one answer of the name server: nginx tries three addresses at most.
BETWEEN_SECONDS = 4.0
# Longer than any `stop_grace_period`.
STOP_SECONDS = 120.0
KILLED = 137
LOG_LINES = "20"
READYZ = "import sys, urllib.request as r; sys.exit(r.urlopen('http://127.0.0.1:8300/readyz', timeout=3).status != 200)"


@dataclass
class Surge:
    """`start()`, then `finish()` or, if anything failed, `back()`.

    `numbers` are the replicas of each service, since an interrupted surge may have left twice as many.
    `started` is true once the new containers serve, after which there is no way back.
    """

    engine: Engine
    say: Callable[[str], None]
    services: Sequence[str] = SERVICES
    ready_seconds: float = READY_SECONDS
    numbers: Mapping[str, int] = field(default_factory=dict)
    old: list[Container] = field(default_factory=list)
    started: bool = False
    # Container id -> its restarts when it became ready.
    ready: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """Start as many new containers as there are old ones, and wait until they are ready.

        One service after the other: on a small host the start of all would take the processor from those that serve.
        """
        self.old = self.engine.containers(*self.services)
        numbers = self.numbers or replicas(self.old)
        # Compose would count a stopped container, and start it again.
        self.engine.compose("rm", "--force", *self.services)
        scale = []
        for service in self.services:
            there = [each for each in self.old if each.service == service]
            scale += ["--scale", f"{service}={len(there) + numbers.get(service, 1)}"]
        # Only created, because compose would run the jobs again at each start. --no-recreate leaves all that runs,
        # PostgreSQL and Redis too. Without --no-deps, because compose then hashes a service without its dependencies,
        # and would replace these containers at the next plain `up`.
        self.engine.compose("up", "--no-start", "--no-recreate", *scale, *self.services)
        created = self.engine.created(*self.services)
        for service in self.services:
            new = [each for each in created if each.service == service]
            if not new:
                raise Stop(f"compose made no new container of {service}")
            self.engine.docker("start", *(each.id for each in new))
            self.wait(service)
            self.say(f"{service}: {len(new)} new, ready")
        self.engine.sleep(NOTICED_SECONDS)
        # A container that was ready first may have ended while the others started.
        for container in created:
            self._stays_up(container, restarts=self.ready.get(container.id, 0))

    def new(self, *services: str) -> list[Container]:
        ids = {each.id for each in self.old}
        return [each for each in self.engine.containers(*(services or self.services)) if each.id not in ids]

    def wait(self, service: str) -> None:
        """Wait until each new container is ready. Raises `Stop`, with the end of its log, for one that is not."""
        started = {each.id: each for each in self.new(service)}
        end = self.engine.clock() + self.ready_seconds
        while started:
            for container in list(started.values()):
                now = self._stays_up(container, restarts=1)
                if self._ready(now):
                    self.ready[container.id] = now.restarts
                    del started[container.id]
            if started and self.engine.clock() > end:
                late = min(started.values(), key=lambda each: each.name)
                raise Stop(f"{late.name} is not ready after {self.ready_seconds:.0f} s{self._log(late)}")
            self.engine.sleep(POLL_SECONDS)

    def finish(self) -> list[str]:
        """End the old containers: ws and web, then the relay. Return the names of those that had to be killed."""
        first = [each for each in self.old if each.service != "relay"]
        killed = self._end(first) + self._end([each for each in self.old if each.service == "relay"])
        self.say(f"the old ones have ended: {', '.join(each.name for each in self.old)}")
        return killed

    def back(self) -> None:
        """End the new containers; the old ones have served all the time."""
        self._end(self.new())
        # A container that never stayed up does not count as running.
        self.engine.compose("rm", "--force", *self.services)

    def _stays_up(self, container: Container, *, restarts: int) -> Container:
        now = self.engine.inspect(container)
        if now is None or now.status != "running" or now.restarts > restarts:
            raise Stop(f"{container.name} does not stay up{self._log(container)}")
        return now

    def _ready(self, container: Container) -> bool:
        if container.health != "healthy":
            return False
        if container.service != "ws":
            return True
        # The health check of a node covers its liveness, and not whether the node accepts sockets.
        try:
            self.engine.read(container, "python", "-IS", "-c", READYZ)
        except EngineError:
            return False
        return True

    def _end(self, containers: Sequence[Container]) -> list[str]:
        numbers: Counter[str] = Counter()
        delays = []
        for each in containers:
            delays.append(numbers[each.service] * BETWEEN_SECONDS)
            numbers[each.service] += 1
        with ThreadPoolExecutor(max_workers=max(len(containers), 1)) as threads:
            codes = list(threads.map(self._end_one, containers, delays))
        return [each.name for each, code in zip(containers, codes, strict=True) if code == KILLED]

    def _end_one(self, container: Container, delay_seconds: float) -> int:
        self.engine.sleep(delay_seconds)
        self.engine.docker("stop", container.id, timeout_seconds=STOP_SECONDS)
        ended = self.engine.inspect(container)
        self.engine.docker("rm", "--force", container.id)
        return ended.exit_code if ended else 0

    def _log(self, container: Container) -> str:
        try:
            said = self.engine.run(
                ("sh", "-c", 'docker logs --tail "$1" "$2" 2>&1', "sh", LOG_LINES, container.id),
                self.engine.environment,
            )
        except EngineError:
            return ""
        return f"; the end of its log:\n{said.rstrip()}"


def replicas(containers: Sequence[Container]) -> dict[str, int]:
    """Return service -> number of replicas: of two generations of an interrupted surge one counts."""
    images = Counter((each.service, each.image) for each in containers)
    return {service: max(n for (name, _), n in images.items() if name == service) for service, _ in images}
