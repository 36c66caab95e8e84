"""The directories of reports."""

from loadtest.result_directories import directories, own_directory


def test_runs_that_begin_in_the_same_second_have_directories_of_their_own(tmp_path):
    """The second run failed with a traceback."""
    made = [own_directory(tmp_path / "results", "2026-11-30-120000") for _ in range(3)]
    assert [each.name for each in made] == ["2026-11-30-120000", "2026-11-30-120000_2", "2026-11-30-120000_3"]
    assert all(each.is_dir() for each in made)


def test_second_test_of_a_process_leaves_the_first_report_in_place(tmp_path):
    given = tmp_path / "mine"
    given.mkdir()
    each = directories(str(given))
    assert [next(each).name for _ in range(3)] == ["mine", "mine_2", "mine_3"]


def test_directory_has_the_name_of_the_time_if_none_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    each = directories("")
    first, second = next(each), next(each)
    assert first != second
    assert first.parent == second.parent
    assert first.resolve().parent == tmp_path / "var" / "loadtest"
