"""Values that Locust receives once a second give the same statistics as values that it receives one by one."""

import subprocess
import sys

SCRIPT = """
from random import Random
from collections import Counter
from locust.stats import RequestStats
from loadtest.run.locust_figures import add_to_locust
chance = Random(1)
one, many = RequestStats(), RequestStats()
values = [round(chance.uniform(0.1, 4000), 1) for _ in range(500)] + [3.0] * 500
for value in values:
    one.log_request("EVENT", "x", value, 0)
for part in (values[:700], values[700:]):
    add_to_locust(many, "EVENT", "x", Counter(part))
for of in (lambda stats: stats.total, lambda stats: stats.entries["x", "EVENT"]):
    a, b = of(one), of(many)
    for name in ("num_requests", "min_response_time", "max_response_time", "response_times", "num_failures"):
        assert getattr(a, name) == getattr(b, name), (name, getattr(a, name), getattr(b, name))
    assert abs(a.avg_response_time - b.avg_response_time) < 1e-6
    assert sum(b.num_reqs_per_sec.values()) == 1000
    assert a.get_response_time_percentile(0.95) == b.get_response_time_percentile(0.95)
"""


def test_batch_is_as_good_as_its_values_one_by_one():
    """In its own process, because Locust patches the standard library on import."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
