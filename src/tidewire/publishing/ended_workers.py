"""Counts of Gunicorn workers that have ended, in one file per kind of metric.

prometheus_client leaves several files for each worker that ever ran, and every scrape must read them all.
"""

import shutil
from pathlib import Path

from prometheus_client import multiprocess
from prometheus_client.mmap_dict import MmapedDict

# Used in place of a process id: no process has this one.
ENDED = "0"


def collect(directory: Path, pid: int) -> None:
    """Add the counts of a worker that has ended to those of earlier ones, and delete its files."""
    multiprocess.mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call] # it has no types
    for path in directory.glob(f"*_{pid}.db"):
        if not path.name.startswith("gauge_"):
            _add(path, directory / f"{path.stem.removesuffix(f'_{pid}')}_{ENDED}.db")
        # A gauge describes the current state, and an ended worker has none.
        path.unlink()


def _add(path: Path, ended: Path) -> None:
    """Add the counts of one file to another. Works on a copy, so that a concurrent scrape reads the old file."""
    copy = ended.with_suffix(".new")
    copy.unlink(missing_ok=True)
    if ended.exists():
        shutil.copy(ended, copy)
    sums = MmapedDict(str(copy))  # type: ignore[no-untyped-call] # as above
    for key, value, *_ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call] # as above
        sums.write_value(key, sums.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call] # as above
    sums.close()  # type: ignore[no-untyped-call] # as above
    copy.replace(ended)
