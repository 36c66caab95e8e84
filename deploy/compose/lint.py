"""`python -m deploy.compose.lint`: the part of `make lint` on Dockerfiles, nginx, compose files and CI workflows.

A linter that cannot run on this machine is left out, with the reason. Nothing is built, started or changed.
"""
# ruff: noqa: INP001 - deploy/ is no package; found from the root
# ruff: noqa: S603 - starting linters is its purpose

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy import pinned_versions
from deploy.compose import compose_budget
from deploy.local.config import write_configuration
from deploy.local.layout import ROOT, Layout, Ports
from deploy.local.system import find_program

DOCKERFILES = [ROOT / name / "Dockerfile" for name in ("services/web", "services/ws", "loadtest", "examples/chat")]
GITHUB_WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
GITLAB_WORKFLOWS = [ROOT / ".gitlab-ci.yml"]
COMPOSE_FILES = [["compose.yaml"], ["compose.yaml", "compose.dev.yaml"], ["examples/chat/compose.yaml"]]
EXAMPLE_NGINX = ROOT / "examples/chat/nginx.conf"
# $http_host has the port, which the socket's origin check compares and $host lacks. Django (ALLOWED_HOSTS) and the
# origin check refuse any other host. Pages go to one of two upstreams, and gixy takes the upstreams' names in a map
# for hosts; upstreams that name hosts have `resolve`. gixy's check `ssrf` ensures that no client can name a host.
GIXY_SKIPS = "host_spoofing,missing_resolver"
STATUS = "include status.conf;"
TIMEOUT_SECONDS = 60


class Absent(Exception):
    """A linter cannot run on this machine; the message has the reason."""


def hadolint(dockerfiles: list[Path] = DOCKERFILES) -> str:
    """Return the faults of the Dockerfiles; empty: none."""
    return _complaints([_tool("hadolint"), *map(str, dockerfiles)])


def gixy(configuration: Path) -> str:
    """Return the unsafe directives of an nginx configuration with all that it includes; empty: none."""
    return _complaints([_tool("gixy"), f"--skips={GIXY_SKIPS}", "--format=text", str(configuration)])


def nginx(configuration: Path) -> str:
    """Return the errors and warnings of nginx itself; empty: none."""
    program = find_program("nginx") or "nginx"
    built = subprocess.run([program, "-V"], capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS).stderr
    if "http_stub_status_module" not in built:
        # A Python package's nginx has no such module; the image's nginx has.
        configuration.write_text(configuration.read_text("utf-8").replace(STATUS, ""), "utf-8")
    complaints = _complaints([program, "-t", "-q", "-c", str(configuration), "-p", str(configuration.parent)])
    # Before nginx reads its configuration, it tries the log of its build, which only root may write.
    return "\n".join(line for line in complaints.splitlines() if "could not open error log file" not in line)


def compose_config(files: list[list[str]] = COMPOSE_FILES, directory: Path = ROOT) -> str:
    """Return compose's errors in its files, with every profile; empty: none."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        raise Absent("there is no docker compose")
    complaints = []
    for together in files:
        named = [part for name in together for part in ("--file", str(directory / name))]
        complaints.append(_complaints([docker, "compose", *named, "--profile", "*", "config", "--quiet"]))
    return "\n".join(filter(None, complaints))


def workflows() -> str:
    """Return faults in the files of CI and of the update bot; empty: none. No linter needs a network."""
    complaints = [github_schema(), gitlab_schema(), renovate_schema(), zizmor()]
    return "\n".join(filter(None, complaints))


def github_schema(files: list[Path] = GITHUB_WORKFLOWS) -> str:
    """Return the keys that GitHub does not know, and values of the wrong type; empty: none."""
    return _schema("vendor.github-workflows", *map(str, files))


def gitlab_schema(files: list[Path] = GITLAB_WORKFLOWS) -> str:
    return _schema("vendor.gitlab-ci", "--data-transform=gitlab-ci", *map(str, files))


def renovate_schema() -> str:
    return _schema("vendor.renovate", str(ROOT / "renovate.json"))


def zizmor(files: list[Path] = GITHUB_WORKFLOWS) -> str:
    """Return the unsafe parts of GitHub's workflows; empty: none."""
    return _complaints([_tool("zizmor"), "--offline", "--no-progress", "--quiet", *map(str, files)])


def _schema(*arguments: str) -> str:
    return _complaints([_tool("check-jsonschema"), "--builtin-schema", *arguments])


@contextmanager
def rendered() -> Iterator[Path]:
    """Yield nginx's configuration as deployments render it, in a directory that is removed at the end of the `with`."""
    if find_program("nginx") is None:
        raise Absent("there is no nginx")
    with tempfile.TemporaryDirectory() as directory:
        layout = Layout(ports=Ports.free(web=1, ws=2), var=Path(directory))
        layout.make_directories()
        write_configuration(layout, {"TIDEWIRE_TRUSTED_PROXIES": "set_real_ip_from 10.0.0.0/8;"})
        main = layout.run / "nginx" / "nginx.conf"
        # Only containers have the status page; the resolver is Docker's own.
        (main.parent / "status.conf").write_text((ROOT / "deploy/nginx/status.conf.template").read_text("utf-8"))
        text = main.read_text("utf-8").replace('tidewire.conf";', f'tidewire.conf";\n    {STATUS}')
        main.write_text(text, "utf-8")
        yield main


def main() -> int:
    """Run all linters, and return the exit status."""
    linters: dict[str, Callable[[], str]] = {
        "hadolint": hadolint,
        "gixy": _on_rendered(gixy),
        "gixy, example": functools.partial(gixy, EXAMPLE_NGINX),
        "nginx -t": _on_rendered(nginx),
        "docker compose config": compose_config,
        "workflows": workflows,
        "budgets of compose": compose_budget.problems,
        "versions": pinned_versions.problems,
    }
    return max([_run(name, linter) for name, linter in linters.items()])


def _on_rendered(linter: Callable[[Path], str]) -> Callable[[], str]:
    def lint() -> str:
        with rendered() as configuration:
            return linter(configuration)

    return lint


def _run(name: str, linter: Callable[[], str]) -> int:
    try:
        complaints = linter()
    except Absent as error:
        sys.stdout.write(f"{name}: left out, {error}\n")
        return 0
    sys.stdout.write(f"{name}: {complaints or 'nothing to complain of'}\n")
    return int(bool(complaints))


def _tool(name: str) -> str:
    beside = Path(sys.executable).parent / name
    path = str(beside) if beside.exists() else shutil.which(name)
    if path is None:
        raise Absent(f"there is no {name}; `make setup` installs it where it can be had")
    return path


def _complaints(command: list[str]) -> str:
    """Return the output of a linter, or a line if it failed without any."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=TIMEOUT_SECONDS,
        env=os.environ | {"TIDEWIRE_SECRETS": "var/secrets"},
    )
    output = f"{done.stdout}{done.stderr}".strip()
    if done.returncode == 0:
        return output if Path(command[0]).name == "nginx" else ""
    return output or f"{command[0]} failed with {done.returncode}"


if __name__ == "__main__":
    sys.exit(main())
