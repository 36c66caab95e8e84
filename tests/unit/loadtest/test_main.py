"""`python -m loadtest`: the directory of a run."""

from loadtest.__main__ import _own_directory


def test_runs_that_begin_in_the_same_second_have_directories_of_their_own(tmp_path):
    """The second run failed with a traceback."""
    directories = [_own_directory(tmp_path / "results", "2026-11-30-120000") for _ in range(3)]
    assert [each.name for each in directories] == ["2026-11-30-120000", "2026-11-30-120000_2", "2026-11-30-120000_3"]
    assert all(each.is_dir() for each in directories)
