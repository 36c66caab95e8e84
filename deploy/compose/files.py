"""Files that must be whole after a power loss or on a full disk: secrets, backups, the record of a replacement."""
# ruff: noqa: INP001 - deploy/ is no package; found from the root

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Write a file that is there wholly or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    move(part, path)


def move(part: Path, path: Path) -> None:
    """Give a file that is on the disk its name, and wait until the name is there too."""
    part.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def overwrite(path: Path, text: str) -> None:
    """Write into the same file, which containers have mounted. On a full disk its content stays.

    Cut only afterwards: a file that is emptied first gives its block back, and may not get another one.
    """
    data, before = text.encode(), path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        try:
            _write(file.fileno(), data)
        except BaseException:
            with contextlib.suppress(OSError):
                os.lseek(file.fileno(), 0, os.SEEK_SET)
                _write(file.fileno(), before)
                os.ftruncate(file.fileno(), len(before))
            raise
        os.ftruncate(file.fileno(), len(data))
        os.fsync(file.fileno())


def _write(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]
