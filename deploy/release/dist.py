"""`make dist`: build the wheel and the sdist, install each in an empty environment, and list the distributed packages.

All files go to `dist/`. Nothing is published.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.kit import generate
from deploy.local.layout import ROOT
from deploy.local.venv import VENV
from tidewire import __version__

DIST = ROOT / "dist"
PACKAGE = ROOT / "src" / "tidewire"
# Files of an sdist besides the package: the build needs the first three, and hatchling adds the fourth.
BESIDES = ("pyproject.toml", "hatch_build.py", ".gitignore", "PKG-INFO", "README.md", "LICENSE", "CHANGELOG.md")
METADATA = ("METADATA", "entry_points.txt", "RECORD", "WHEEL", "licenses/LICENSE")
# The images install exactly these.
IMAGES = {"web": ROOT / "services/web/requirements.txt", "ws": ROOT / "services/ws/requirements.txt"}
# Packages without a wheel must be compiled, which takes minutes.
TIMEOUT_SECONDS = 900
IMPORTS = """
import importlib.metadata, tidewire, tidewire.events, tidewire.topics, tidewire.close_codes
assert importlib.metadata.version("tidewire") == tidewire.__version__
print(tidewire.__version__)
"""


class DistError(Exception):
    """The release cannot be made; the message has the reason."""


def build(directory: Path) -> tuple[Path, Path]:
    """Build and return the wheel and the sdist. The wheel is built from the sdist, as other builders do."""
    _run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), str(ROOT)])
    [wheel], [sdist] = list(directory.glob("*.whl")), list(directory.glob("*.tar.gz"))
    return wheel, sdist


def wheel_files(wheel: Path) -> set[str]:
    """The names of the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def sdist_files(sdist: Path) -> set[str]:
    """The names of the files in an sdist, without its directory."""
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def expected_files(package: Path = PACKAGE) -> tuple[set[str], set[str]]:
    """Return the files that belong in the wheel and in the sdist.

    They are the package's files in git, the templates, which the build makes, and the package's description.
    """
    named = _run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "."], cwd=package)
    files = sorted(name for name in named.splitlines() if (package / name).exists())
    templates = generate.TEMPLATES.relative_to(PACKAGE).as_posix()
    files += [f"{templates}/{name}" for name in generate.templates()]
    info = f"tidewire-{__version__}.dist-info"
    wheel = {f"tidewire/{name}" for name in files} | {f"{info}/{name}" for name in METADATA}
    return wheel, {f"src/tidewire/{name}" for name in files} | set(BESIDES)


def difference(names: set[str], expected: set[str]) -> str:
    """Return the faults in an archive's contents; empty: none."""
    lines = [f"{name} does not belong in it" for name in sorted(names - expected)]
    return "\n".join([*lines, *(f"{name} is missing" for name in sorted(expected - names))])


def licences(bom: dict[str, Any]) -> dict[str, str]:
    """Return the licence of each component of a CycloneDX document, by `name version`. Empty: the package has none."""
    licence_by_package = {}
    for component in bom.get("components", ()):
        names = [
            each.get("expression") or each["license"].get("id") or each["license"].get("name", "")
            for each in component.get("licenses", ())
        ]
        # Old packages may declare their licence by a classifier.
        names = [name.rpartition(" :: ")[2] for name in names if name]
        licence_by_package[f"{component['name']} {component.get('version', '')}"] = "; ".join(dict.fromkeys(names))
    return licence_by_package


def main() -> int:
    """Make the release, and return the exit status."""
    shutil.rmtree(DIST, ignore_errors=True)
    try:
        _check_committed()
        wheel, sdist = build(DIST)
        _check(wheel, sdist)
        with _environment() as python:
            _try(python, sdist, "")
        with _environment() as python:
            _try(python, wheel, "[daphne]")
            _run([python, "-m", "tidewire", "--help"], cwd=Path("/"))
            _run([str(Path(python).with_name("tidewire")), "--help"], cwd=Path("/"))
            _run([python, "-m", "tidewire", "init", "--help"], cwd=Path("/"))
            _list(python, "tidewire")
            _try(python, wheel, "[daphne,bench]")
            _run([str(Path(python).with_name("tidewire")), "bench", "--help"], cwd=Path("/"))
        for image, requirements in IMAGES.items():
            with _environment() as python:
                _install(python, f"packages of {image}", ["--require-hashes", "--no-deps", "-r", str(requirements)])
                _list(python, f"image-{image}-python")
            _list_debian(image, os.environ.get(f"{image.upper()}_IMAGE", ""))
        _sum()
    except DistError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _check_committed(package: Path = PACKAGE) -> None:
    """Raise `DistError` if git does not have a file of the package, because the release would have it."""
    if names := _run(["git", "ls-files", "--others", "--exclude-standard", "."], cwd=package).split():
        raise DistError(f"not in git, so commit or delete first: {', '.join(names)} in {package}")


def _check(wheel: Path, sdist: Path) -> None:
    names_by_archive = (wheel_files(wheel), sdist_files(sdist))
    for archive, names, expected in zip((wheel, sdist), names_by_archive, expected_files(), strict=True):
        if wrong := difference(names, expected):
            raise DistError(f"{archive.name}: {wrong}")
        print(f"{archive.name}: {len(names)} files, exactly what belongs in it, {archive.stat().st_size:,} bytes")


def _try(python: str, archive: Path, extra: str) -> None:
    name = f"{archive.name}{extra}"
    _install(python, name, [f"{archive}{extra}"])
    version = _run([python, "-c", IMPORTS], cwd=Path("/")).strip()
    if version != __version__:
        raise DistError(f"{name}: imports as {version}, expected {__version__}")
    print(f"{name}: imports in an empty environment, version {version}")


@contextmanager
def _environment() -> Iterator[str]:
    """Yield the Python of an empty environment without pip."""
    with tempfile.TemporaryDirectory() as directory:
        _run([sys.executable, "-m", "venv", "--without-pip", directory])
        yield str(Path(directory) / "bin" / "python")


def _install(python: str, name: str, what: list[str]) -> None:
    print(f"{name}: installing ...", flush=True)
    started = time.monotonic()
    _run([sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--quiet", "install", *what])
    print(f"{name}: installed in {time.monotonic() - started:.0f} s", flush=True)


def _list(python: str, name: str) -> None:
    """Write the CycloneDX list of an environment."""
    path = DIST / f"{name}-{__version__}.cdx.json"
    root = ["--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "library"] if name == "tidewire" else []
    _run([str(VENV / "bin" / "cyclonedx-py"), "environment", *root, "--output-reproducible", "-o", str(path), python])
    _report(path)


def _list_debian(image: str, tag: str) -> None:
    """Write the CycloneDX list of the Debian packages of an image."""
    variable = f"{image.upper()}_IMAGE"
    if not tag:
        print(f"image-{image}-debian: left out; make dist {variable}=<name of the built image> lists them")
        return
    docker = shutil.which("docker")
    if docker is None:
        raise DistError(f"{variable}={tag}: there is no docker to read the image with")
    path = DIST / f"image-{image}-debian-{__version__}.cdx.json"
    container = _run([docker, "create", tag]).strip()
    try:
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory) / "root.tar"
            _run([docker, "export", "--output", str(root), container])
            tool = [str(VENV / "bin" / "debsbom"), "generate", "--sbom-type", "cdx", "--with-licenses"]
            _run([*tool, "--root", str(root), "--out", str(path).removesuffix(".cdx.json")])
    finally:
        _run([docker, "rm", container])
    _report(path)


def _report(path: Path) -> None:
    licence_by_package = licences(json.loads(path.read_text(encoding="utf-8")))
    path.with_name(path.name.replace(".cdx.json", ".licences.txt")).write_text(
        "".join(f"{name}: {licence or 'names none'}\n" for name, licence in sorted(licence_by_package.items())),
        encoding="utf-8",
    )
    print(f"{path.name}: {len(licence_by_package)} packages; {_counted(licence_by_package.values())}")


def _counted(licence_names: Iterable[str]) -> str:
    counted = Counter(licence or "no licence named" for licence in licence_names)
    shown = [f"{count} {licence}" for licence, count in counted.most_common(5)]
    return ", ".join([*shown, *([f"{len(counted) - 5} other licences"] if len(counted) > 5 else [])])


def _sum() -> None:
    files = sorted(path for path in DIST.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (DIST / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    print(f"dist/: {len(files)} files, and SHA256SUMS over them. Nothing was published.")


def _run(command: list[str], *, cwd: Path = ROOT) -> str:
    # Without this repository's modules: imports must come from the installed package.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DistError(f"{' '.join(command)} failed: {error}") from None
    if done.returncode:
        last = "\n".join(f"{done.stdout}{done.stderr}".strip().splitlines()[-20:])
        raise DistError(f"{' '.join(command)} failed with {done.returncode}:\n{last}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
