"""The command line of `tidewire init`: the first time it makes the files of deploy/, later it updates them."""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tidewire import __version__
from tidewire.kit import InitError
from tidewire.kit.detect import Detected, detect
from tidewire.kit.repository import BUNDLE, add_version, git

ANSWERS = Path("deploy", ".tidewire.yml")
TEMPLATES = Path(__file__).with_name("templates")


def init(arguments: Sequence[str], templates: Path = TEMPLATES) -> int:
    """Run the command and return its status: 0, 1 for a conflict that the owner must solve, 2 with the reason."""
    options = _parser().parse_args(arguments)
    try:
        _require(templates)
        directory = Path(options.directory).resolve()
        detected = detect(directory)
        _require_git(directory)
        if not options.yes and not sys.stdin.isatty():
            raise InitError("there is no terminal to ask at: --yes takes what was found in the project")
        run = _update if (directory / ANSWERS).is_file() else _create
        return run(directory, detected, _data(options.data), templates, yes=options.yes)
    except InitError as error:
        sys.stderr.write(f"tidewire init: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("tidewire init: stopped; nothing more is changed\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tidewire init", description="Put the files of a deployment around a project, or update them"
    )
    parser.add_argument("directory", nargs="?", default=".", help="the folder with manage.py (default: this one)")
    parser.add_argument("--yes", action="store_true", help="ask nothing: take what was found, and make shown changes")
    parser.add_argument(
        "--data", action="append", default=[], metavar="NAME=VALUE", help="an answer; deploy/.tidewire.yml has them"
    )
    return parser


def _require(templates: Path) -> None:
    try:
        import copier  # noqa: F401, PLC0415 - an extra, whose absence has a message of its own
    except ModuleNotFoundError as error:
        raise InitError(f"it needs {error.name}, which is not installed: pip install 'tidewire[init]'") from None
    if not (templates / "copier.yml").is_file():
        raise InitError(f"{templates} is missing: in a checkout of tidewire, `make generate` writes it")


def _require_git(directory: Path) -> None:
    try:
        git(directory, "rev-parse", "--show-toplevel")
    except InitError as error:
        if "not a git repository" in str(error):
            raise InitError(
                f"{directory} is no git repository, so an update could not tell your changes from its own: git init"
            ) from None
        raise


def _data(named: Sequence[str]) -> dict[str, Any]:
    data = dict(each.partition("=")[::2] for each in named)
    if wrong := [each for each in named if "=" not in each]:
        raise InitError(f"--data {wrong[0]} has no value: name it as NAME=VALUE")
    return data


def _create(directory: Path, detected: Detected, data: dict[str, Any], templates: Path, *, yes: bool) -> int:
    with _bundled(templates, directory) as (place, _is_new):
        rendered = place / "rendered"
        given = {"python": f"{sys.version_info.major}.{sys.version_info.minor}", "outbox": detected.outbox}
        asked = {name: value for name, value in detected._asdict().items() if name not in given}
        answers = {"defaults": yes, "user_defaults": asked, "data": given | data}
        _copier("run_copy", str(BUNDLE), rendered, quiet=True, vcs_ref="HEAD", **answers)
        files = sorted(path.relative_to(rendered) for path in rendered.rglob("*") if path.is_file())
        if there := [path.as_posix() for path in files if (directory / path).exists()]:
            raise InitError(f"{there[0]} exists already and is not tidewire's: move it, or name another folder for it")
        for path in files:
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(rendered / path, directory / path)
        shutil.copy(place / BUNDLE, directory / BUNDLE)
    sys.stdout.write(f"{len(files)} files in {directory / 'deploy'}, of tidewire {__version__}\n")
    if ignored := git(directory, "ls-files", "--others", "--ignored", "--exclude-standard", "--", "deploy"):
        sys.stdout.write(f"your .gitignore excludes {', '.join(ignored.splitlines())}: git add --force\n")
    _edit(directory, yes=yes)
    if (directory / "deploy" / "project.env").exists():
        sys.stdout.write("first: fill in deploy/project.env\n")
    sys.stdout.write("next: git add deploy, then make kit-up; make kit-help lists all targets\n")
    return 0


def _update(directory: Path, detected: Detected, data: dict[str, Any], templates: Path, *, yes: bool) -> int:
    before = _answers(directory)
    data = {name: value for name, value in ({"outbox": detected.outbox} | data).items() if before.get(name) != value}
    with _bundled(templates, directory) as (place, is_new):
        if not is_new and not data:
            sys.stdout.write(f"deploy is of tidewire {__version__} already: nothing to change\n")
            _edit(directory, yes=yes)
            return 0
        if git(directory, "status", "--porcelain"):
            raise InitError("the repository has changes that are not committed: commit or stash them, then update")
        _copier(
            "run_update",
            directory,
            data=data,
            answers_file=str(ANSWERS),
            vcs_ref="HEAD",
            defaults=True,
            skip_answered=True,
            overwrite=True,
            quiet=True,
        )
        shutil.copy(place / BUNDLE, directory / BUNDLE)
    _edit(directory, yes=yes)
    if both := sorted({line.partition("\t")[2] for line in git(directory, "ls-files", "--unmerged").splitlines()}):
        sys.stderr.write(
            f"tidewire init: you and tidewire changed the same lines of {', '.join(both)}: each has both forms between "
            "<<<<<<< and >>>>>>>; choose, then git add\n"
        )
        return 1
    sys.stdout.write(f"deploy is of tidewire {__version__} now: git diff shows what changed\n")
    return 0


@contextmanager
def _bundled(templates: Path, directory: Path) -> Iterator[tuple[Path, bool]]:
    """Yield a folder with the bundle of the templates, and whether they are newer than the project's.

    It is the working directory meanwhile: the answers name the bundle by a path that is right in the project too.
    """
    start = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        is_new = add_version(templates, directory / BUNDLE, place)
        os.chdir(place)
        try:
            yield place, is_new
        finally:
            os.chdir(start)


def _answers(directory: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - comes with copier

    try:
        return dict(yaml.safe_load((directory / ANSWERS).read_text(encoding="utf-8")))
    except (yaml.YAMLError, TypeError, ValueError):
        raise InitError(f"{ANSWERS} cannot be read: bring it back with git checkout {ANSWERS}") from None


def _copier(function: str, *arguments: Any, **options: Any) -> None:
    """Call copier, and give its refusals one line."""
    import copier  # noqa: PLC0415 - as in `_require`
    from copier.errors import CopierError  # noqa: PLC0415

    try:
        getattr(copier, function)(*arguments, **options)
    except (CopierError, ValueError) as error:
        raise InitError(" ".join(str(error).split()) or type(error).__name__) from error


def _edit(directory: Path, *, yes: bool) -> None:
    from tidewire.kit import edits  # noqa: PLC0415 - needs a package that comes with copier

    answers = _answers(directory)
    for each in edits.edits(directory, str(answers.get("settings")), str(answers.get("requirements") or "")):
        edits.make(each, directory, is_agreed=lambda question: yes or _is_agreed(question), show=sys.stdout.write)


def _is_agreed(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
