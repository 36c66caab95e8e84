"""A compose project as a stack for the tools of other tiers: its port, and Python in its web container."""

import json
import subprocess
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Self

from tests.compose.conftest import ROOT, Compose

END_SECONDS = 30.0


class Inside:
    """Implements the part of a `tests.stack.Stack` that `tests.faults` uses, for containers."""

    def __init__(self, compose: Compose) -> None:
        self.compose = compose
        self.layout = SimpleNamespace(ports=SimpleNamespace(nginx=compose.port))

    def run(self, _m: str, module: str, *arguments: str) -> str:
        """Run a module that is in no image, like `python -m MODULE`, and return its output."""
        return self.compose("exec", "-T", "web", "python", "-c", _source(module), *arguments)

    def sessions(self, *names: str, tickets: bool = False) -> dict[str, str]:
        """Return name -> Cookie header, like `Stack.sessions`."""
        return dict(json.loads(self.run("-m", "tests.login_cookies", *(["--tickets"] if tickets else []), *names)))


class Publisher:
    """`with Publisher(inside, 20)` publishes 20 events/s from the web container until `stop`, which sets `saved`."""

    def __init__(self, inside: Inside, per_second: float) -> None:
        compose = inside.compose
        source = _source("tests.faults.publisher_process")
        self._command = ["docker", "compose", "-p", compose.project, "exec", "-T", "web", "python", "-c", source]
        self._command.append(str(per_second))
        self._environment = compose.environment
        self.saved = self.failed = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self

    def stop(self) -> None:
        """Stop publishing."""
        output, errors = self._process.communicate(timeout=END_SECONDS)
        assert self._process.returncode == 0, errors[-2000:]
        result = json.loads(output.splitlines()[-1])
        self.saved, self.failed = result["saved"], result["failed"]

    def __exit__(self, *_exception: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(END_SECONDS)


def _source(module: str) -> str:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")
