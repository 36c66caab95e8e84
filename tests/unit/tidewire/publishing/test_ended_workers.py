"""The counts of ended workers remain, but their files do not."""

import gc
import warnings

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector

from tidewire.publishing import ended_workers


@pytest.fixture
def work(tmp_path):
    """Return `work(pid)`, which counts as a worker with that process id does."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield _worker(monkeypatch, tmp_path)
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        # prometheus_client 0.21 closes a worker's files when its objects are collected.
        gc.collect()


def _worker(monkeypatch, tmp_path):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))

    def work(pid: int) -> None:
        multi_process_value = values.MultiProcessValue(lambda: pid)
        monkeypatch.setattr(values, "ValueClass", multi_process_value)
        for module in ("prometheus_client.metrics.values",):
            monkeypatch.setattr(f"{module}.ValueClass", multi_process_value)
        Counter("pages", "Pages.", ["view"], registry=None).labels("list").inc(2)
        Histogram("seconds", "Seconds.", registry=None, buckets=(1, 10)).observe(5)
        Gauge("waiting", "Waiting.", registry=None, multiprocess_mode="mostrecent").set(7)

    return work


def scrape(path) -> dict[str, float]:
    registry = CollectorRegistry()
    collector = MultiProcessCollector(registry, path=str(path))
    samples = [sample for family in collector.collect() for sample in family.samples]
    return {sample.name + str(sample.labels.get("le", "")): sample.value for sample in samples}


def test_counts_of_ended_workers_stay_and_their_files_do_not(work, tmp_path):
    """After months of replaced workers, a service has no more files than after an hour."""
    for pid in range(1, 31):
        work(pid)
        if pid > 2:
            ended_workers.collect(tmp_path, pid)
    metrics_text = scrape(tmp_path)
    assert metrics_text["pages_total"] == 60
    assert metrics_text["seconds_count"] == 30
    assert metrics_text["seconds_sum"] == 150
    assert metrics_text["seconds_bucket1.0"] == 0
    assert metrics_text["waiting"] == 7
    assert len(list(tmp_path.iterdir())) == 2 * 3 + 2


def test_a_worker_that_counted_nothing_leaves_nothing(tmp_path):
    ended_workers.collect(tmp_path, 99)
    assert list(tmp_path.iterdir()) == []
