"""The bottleneck of a run, named in one sentence."""

import pytest

from loadtest.report.bottleneck import bottleneck
from loadtest.run.generator_health import Health

WELL = Health(0.4, 0.5, 10.0, 20.0, ())
STARVED = Health(0.99, 1.0, 500.0, 900.0, ("its core was full",))


def used(**shares):
    return {name: {"cpu_mean": share, "cpu_max": share, "rss_mib": 100.0} for name, share in shares.items()}


@pytest.mark.parametrize(
    ("health", "services", "machine", "named"),
    [
        (STARVED, used(ws=0.95), 1.0, "the generator: its figures are not the server's"),
        (WELL, used(ws=0.95, web=0.5), 1.0, "ws with 95% of a core, the most that one process can use"),
        (WELL, used(ws=0.3, web=0.95), 0.95, "the machine: 95% of all its cores were used, most of it by web with 95%"),
        (WELL, used(ws=0.3, web=0.95), 0.6, "no process was at a visible limit: the busiest service was web with 95%"),
        (WELL, {}, 0.5, "unknown: the services were not watched"),
    ],
    ids=["generator", "node", "machine", "nobody", "elsewhere"],
)
def test_bottleneck_is_named(health, services, machine, named):
    assert bottleneck(health, services, machine).startswith(named)
