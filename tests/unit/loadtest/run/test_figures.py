"""Summaries, and latencies by second with three digits."""

from collections import Counter

from loadtest.run.figures import Latencies, Summary


def test_summary_has_percentiles_of_all_values():
    assert Summary.of(Counter({float(n): 1 for n in range(1, 101)})).p99 == 99
    assert Summary.of(Counter({5.0: 98, 900.0: 2})).p99 == 900


def test_latencies_before_full_load_can_be_left_out():
    latencies = Latencies()
    for second, value in ((1, 900.0), (5, 20.0), (6, 10.0), (9, 700.0)):
        latencies.add(second, value)
    assert latencies.counts(since=5, until=9) == {10.0: 1, 20.0: 1}
    assert latencies.total == 4


def test_latency_keeps_three_digits():
    latencies = Latencies()
    for value in (1234.5, 1233.0, 0.12345):
        latencies.add(0, value)
    assert latencies.counts() == {1230.0: 2, 0.123: 1}
