"""CPU time and memory come from the values of /proc."""

import pytest

from testkit.process_usage import Busy, cpu_seconds, process_tree, rss_bytes


def process(proc, pid, *, parent=1, name="server", threads=(), rss_kib=0):
    directory = proc / str(pid)
    directory.mkdir()
    (directory / "stat").write_text(f"{pid} ({name}) S {parent} 0 0")
    (directory / "smaps_rollup").write_text(f"0-1 ---p 0 0 0 [rollup]\nRss:  {rss_kib} kB\nPss:  1 kB\nSwap:  7 kB\n")
    for number, nanoseconds in enumerate(threads):
        task = directory / "task" / str(pid + number)
        task.mkdir(parents=True)
        (task / "schedstat").write_text(f"{nanoseconds} 123456789 42\n")


def test_cpu_is_the_sum_over_threads_and_processes_in_seconds(tmp_path):
    process(tmp_path, 10, threads=(1_500_000_000, 250_000_000))
    process(tmp_path, 20, threads=(1,))
    process(tmp_path, 30, threads=(9_000_000_000,))
    assert cpu_seconds([10, 20], tmp_path) == pytest.approx(1.750000001, abs=1e-12)


def test_cpu_of_a_process_that_has_gone_is_nothing(tmp_path):
    assert cpu_seconds([99], tmp_path) == 0


def test_memory_is_what_is_in_ram(tmp_path):
    process(tmp_path, 10, rss_kib=100)
    process(tmp_path, 20, rss_kib=28)
    assert rss_bytes([10, 20], tmp_path) == 128 * 1024


def test_tree_has_children_of_children_and_nobody_else(tmp_path):
    process(tmp_path, 10)
    process(tmp_path, 11, parent=10, name="nginx: worker (1) S 999")
    process(tmp_path, 12, parent=11)
    process(tmp_path, 13, parent=1)
    assert sorted(process_tree(10, tmp_path)) == [10, 11, 12]


def test_busy_is_all_but_idle_and_waiting_with_stolen_apart(tmp_path):
    (tmp_path / "stat").write_text("cpu  100 200 300 4000 5000 60 70 800 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    busy = Busy.now(tmp_path)
    assert busy.stolen / busy.busy == pytest.approx(800 / 730)
