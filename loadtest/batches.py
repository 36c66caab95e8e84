"""A second's values of one figure in Locust's statistics, at once: its own event costs 20 us for each."""

from __future__ import annotations

from collections.abc import Mapping

from locust.stats import RequestStats, StatsEntry, bucket_response_time


def tell_locust(stats: RequestStats, kind: str, name: str, counts: Mapping[float, int]) -> None:
    """As if each had been a request of that kind and name. `counts`: how often each number of milliseconds came."""
    batch = StatsEntry(stats, name, kind)
    now = batch.start_time
    batch.num_requests = sum(counts.values())
    batch.num_reqs_per_sec[int(now)] = batch.num_requests
    batch.last_request_timestamp = now
    # Locust says that these are whole, and is given fractions by its own users.
    batch.total_response_time = sum(value * times for value, times in counts.items())  # type: ignore[misc]
    batch.min_response_time, batch.max_response_time = min(counts), max(counts)  # type: ignore[assignment]
    for value, times in counts.items():
        batch.response_times[bucket_response_time(value)] += times
    stats.entries[name, kind].extend(batch)
    stats.total.extend(batch)
