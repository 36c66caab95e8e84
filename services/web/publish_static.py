"""`python services/web/publish_static.py SOURCE TARGET`: adds a release's static files to those of the release before.

Pages of the release before are still open, so their files stay; files of earlier releases are deleted.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MANIFEST: Final = "staticfiles.json"
HASHED: Final = re.compile(r"\.[0-9a-f]{12}\.")


def publish(source: Path, target: Path) -> None:
    """Copy `source` into `target` and delete hashed files that neither it nor the release before has.

    The manifest in `target` names the files of the release that was published last. Publishing a release again
    deletes nothing.
    """
    target.mkdir(parents=True, exist_ok=True)
    if _manifest(target) != _manifest(source):
        kept = _manifest(target) | _manifest(source)
        for path in _files(target):
            if HASHED.search(path.name) and path.relative_to(target).as_posix() not in kept:
                path.unlink()
    for path in _files(source):
        if path.name != MANIFEST:
            _copy(path, target / path.relative_to(source))
    # Last: a copy that was interrupted is made again, and has deleted nothing that its own manifest names.
    _copy(source / MANIFEST, target / MANIFEST)


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file())


def _manifest(directory: Path) -> set[str]:
    path = directory / MANIFEST
    return set(json.loads(path.read_text(encoding="utf-8"))["paths"].values()) if path.is_file() else set()


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


if __name__ == "__main__":
    publish(Path(sys.argv[1]), Path(sys.argv[2]))
