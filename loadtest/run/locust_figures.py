"""Adds a second's values of a figure to Locust's statistics at once, because an event for each would cost 20 us."""

from __future__ import annotations

from collections.abc import Mapping

from locust.stats import RequestStats, StatsEntry, bucket_response_time


def add_to_locust(stats: RequestStats, kind: str, name: str, counts: Mapping[float, int]) -> None:
    """Add values as requests of this kind and name. `counts` has the number of times that each value in ms occurred."""
    batch = StatsEntry(stats, name, kind)
    now = batch.start_time
    batch.num_requests = sum(counts.values())
    batch.num_reqs_per_sec[int(now)] = batch.num_requests
    batch.last_request_timestamp = now
    # Locust declares these as integers, but its own users pass fractions.
    batch.total_response_time = sum(value * times for value, times in counts.items())  # type: ignore[misc]
    batch.min_response_time, batch.max_response_time = min(counts), max(counts)  # type: ignore[assignment]
    for value, times in counts.items():
        batch.response_times[bucket_response_time(value)] += times
    stats.entries[name, kind].extend(batch)
    stats.total.extend(batch)
