"""Counts of Gunicorn workers that have ended, in one file for each kind of metric.

prometheus_client leaves several files for each worker that ever was, and every scrape reads them all.
"""

import shutil
from pathlib import Path

from prometheus_client import multiprocess
from prometheus_client.mmap_dict import MmapedDict

# In the place of a process id: no process has it.
ENDED = "0"


def collect(directory: Path, pid: int) -> None:
    """Add the counts of a worker that has ended to those of the others, and delete its files."""
    multiprocess.mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call] # it has no types
    for path in directory.glob(f"*_{pid}.db"):
        if not path.name.startswith("gauge_"):
            _add(path, directory / f"{path.stem.removesuffix(f'_{pid}')}_{ENDED}.db")
        # A gauge says how things are: that of an ended worker says nothing.
        path.unlink()


def _add(path: Path, ended: Path) -> None:
    """Add the counts of one file to another's, in a copy: a scrape meanwhile reads the one as it was."""
    copy = ended.with_suffix(".new")
    copy.unlink(missing_ok=True)
    if ended.exists():
        shutil.copy(ended, copy)
    sums = MmapedDict(str(copy))  # type: ignore[no-untyped-call] # as above
    for key, value, *_ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call] # as above
        sums.write_value(key, sums.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call] # as above
    sums.close()  # type: ignore[no-untyped-call] # as above
    copy.replace(ended)
