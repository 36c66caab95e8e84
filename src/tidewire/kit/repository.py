"""The templates as a git repository in one file of the project, deploy/.tidewire.bundle.

Copier tells the changes of the owner from those of a newer version by the older templates. A package index may no
longer have them and an owner may be offline, so the project keeps them, compressed. Each update adds a commit.
"""

import os
import shutil
import subprocess  # nosec B404
from pathlib import Path

from tidewire import __version__
from tidewire.kit import InitError

BUNDLE = Path("deploy", ".tidewire.bundle")
# The same commit for the same templates, wherever it is made; and no setting of the user's, such as a signature.
_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{role}_NAME": "tidewire" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_EMAIL": "tidewire@localhost" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_DATE": "2026-01-01T00:00:00Z" for role in ("AUTHOR", "COMMITTER")},
}
_TIMEOUT_SECONDS = 60


def add_version(templates: Path, before: Path, directory: Path) -> bool:
    """Write the bundle of these templates into a directory, after the history of the project's bundle if there is one.

    Returns whether they differ from the newest in that history.
    """
    work = directory / "templates"
    if before.is_file():
        git(directory, "clone", "--quiet", str(before), str(work))
        for path in work.iterdir():
            if path.name != ".git":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    else:
        git(directory, "init", "--quiet", "--initial-branch=main", str(work))
    shutil.copytree(templates, work, dirs_exist_ok=True)
    git(work, "add", "--all", "--force")
    is_new = bool(git(work, "status", "--porcelain"))
    if is_new:
        git(work, "commit", "--quiet", "--message", f"tidewire {__version__}")
        if not git(work, "tag", "--list", f"v{__version__}"):
            git(work, "tag", f"v{__version__}")
    (directory / BUNDLE).parent.mkdir(parents=True)
    git(work, "bundle", "create", "--quiet", str(directory / BUNDLE), "HEAD", "--branches", "--tags")
    return is_new


def git(directory: Path, *arguments: str) -> str:
    """Run git and return its output. Raises `InitError` with its last line if it fails."""
    # A hook that runs this command has variables that name its own repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _ENVIRONMENT
    try:
        done = subprocess.run(  # noqa: S603 - arguments of ours  # nosec B607
            ["git", "-C", str(directory), *arguments],  # noqa: S607 - the user's git
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
    except FileNotFoundError:
        raise InitError("there is no git, by which an update tells your changes from its own: install it") from None
    if done.returncode:
        raise InitError(f"git {arguments[0]} failed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return done.stdout.strip()
