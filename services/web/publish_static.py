"""`python services/web/publish_static.py SOURCE TARGET`: adds a release's static files to the previous release's.

Pages of the previous release may still be open, so its files are kept; files of earlier releases are deleted.
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
    """Copy `source` into `target`, and delete hashed files that are neither in it nor in the previous release.

    The manifest in `target` names the files of the release that was published last. Publishing a release twice deletes
    nothing.
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
    # Copied last: an interrupted run can be repeated, and has deleted no file that its own manifest names.
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
